package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/panics"
	"github.com/xoauthd/xoauthd/proxy"
)

// openWeb opens the endpoint where a person authorizes accounts.
func (d *Daemon) openWeb(o *opener) (*endpoint, error) {
	all, err := o.open(d.config.Web.Endpoint)
	if err != nil {
		return nil, err
	}
	web := newEndpoint(all, d.log)
	web.users, web.finder = d.config.Web.LocalUsers, &d.proxy.Peers
	var pages []authorize.Account
	for _, a := range d.accounts.list() {
		pages = append(pages, &page{account: d.accounts.byName[a.Name()], daemon: d, stopping: web.stopping, late: web.late})
	}
	handler, err := authorize.New(authorize.Config{
		Accounts:        pages,
		ListenAddresses: tcpAddresses(all),
		PublicURL:       d.config.Web.PublicURL,
		Version:         Version(),
		Log:             d.log,
		Source:          d.source,
		Go:              web.handlers.Go,
	})
	if err != nil {
		web.close()
		return nil, err
	}
	web.handle(handler)
	return web, nil
}

// tcpAddresses returns the addresses of listeners that are no unix sockets.
func tcpAddresses(all []net.Listener) []string {
	var addresses []string
	for _, ln := range all {
		if ln.Addr().Network() == "tcp" {
			addresses = append(addresses, ln.Addr().String())
		}
	}
	return addresses
}

// A page is an account that a person can authorize (authorize.Account).
type page struct {
	*account
	daemon   *Daemon
	stopping context.Context // done when nobody is waited for who has not come yet
	late     context.Context // done when there is no time left to wait for anybody

	importing bool // the next grant is not from a person's consent, but imported
}

// until returns ctx with end as another end.
func until(end, ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(end, func() { cancel(errStopping) })
	return ctx, func() { stop(); cancel(nil) }
}

// hurried returns ctx with late as another end.
func (p *page) hurried(ctx context.Context) (context.Context, context.CancelFunc) {
	return until(p.late, ctx)
}

var errStopping = errors.New("xoauthd is stopping")

// Pattern is the table of the configuration that the account comes from, if that
// is one for many.
func (p *page) Pattern() string { return p.config.Pattern }

// Provider is what people call the provider.
func (p *page) Provider() string { return p.provider.title }

// Hint tells what to do about an error of the authorization endpoint.
func (p *page) Hint(code, description string) string {
	return p.provider.Provider.Hint(code, description)
}

// Flow is how the account gets its tokens.
func (p *page) Flow() flow.Flow { return p.provider.config.Flow }

// Enabled reports whether programs may log in.
func (p *page) Enabled() bool { return p.config.Enabled }

// LoginHint is who signs in at the provider.
func (p *page) LoginHint() string { return p.config.LoginHint }

// Registration is what the client and the provider have agreed on.
func (p *page) Registration() authorize.Registration {
	c := p.provider.config
	uri, note := c.Registration()
	return authorize.Registration{
		RedirectURL:  c.RedirectURL,
		RedirectURI:  uri,
		RedirectNote: note,
		Scopes:       c.Scopes,
		Issuer:       c.Issuer,
		RequireIss:   c.RequireIss,
		ChecksUser:   c.ChecksUser(),
	}
}

// AuthCodeURL is where the person consents.
func (p *page) AuthCodeURL(state, verifier string) string {
	return p.provider.AuthCodeURL(state, verifier, p.LoginHint())
}

// SendsIss reports what the provider's metadata say, unless the configuration says
// whether a response without iss is refused.
func (p *page) SendsIss(ctx context.Context) bool {
	ctx, cancel := p.hurried(ctx)
	defer cancel()
	return !p.provider.config.IssDecided && p.provider.SendsIss(ctx)
}

// Redact returns text of the provider without secrets.
func (p *page) Redact(text string) string { return p.provider.Redact(text) }

// Exchange redeems a code.
func (p *page) Exchange(ctx context.Context, code, verifier string) (oauth.Grant, error) {
	ctx, cancel := p.hurried(ctx)
	defer cancel()
	return p.provider.Exchange(ctx, code, verifier)
}

// DeviceAuth asks for a code that a person can enter elsewhere.
func (p *page) DeviceAuth(ctx context.Context) (*oauth.Device, error) {
	ctx, cancel := until(p.stopping, ctx)
	defer cancel()
	return p.provider.DeviceAuth(ctx)
}

// AwaitDevice waits for the person who enters it.
func (p *page) AwaitDevice(ctx context.Context, device *oauth.Device) (oauth.Grant, error) {
	ctx, cancel := until(p.stopping, ctx)
	defer cancel()
	return p.provider.AwaitDevice(ctx, device)
}

// Try logs in at every server that a listener leads the account to, at all of
// them at once: a person waits.
func (p *page) Try(ctx context.Context, g oauth.Grant) []authorize.Trial {
	ctx, cancel := p.hurried(ctx)
	defer cancel()
	protocols := p.protocols()
	if len(protocols) == 0 {
		return []authorize.Trial{{Protocol: "login", Err: p.noListener()}}
	}
	trials := make([]authorize.Trial, len(protocols))
	var all sync.WaitGroup
	for i, protocol := range protocols {
		all.Go(func() { trials[i] = p.try(ctx, protocol, g.AccessToken) })
	}
	all.Wait()
	return trials
}

func (p *page) noListener() error {
	return fmt.Errorf("no listener of the configuration leads to provider %s", p.Provider())
}

// protocols are those that listeners lead the account by, in their order.
func (p *page) protocols() []string {
	var all []string
	for _, l := range p.daemon.config.Listeners {
		u := p.Upstream(l.Protocol)
		if u != nil && !slices.Contains(all, l.Protocol) && (l.Provider == "" || l.Provider == u.Provider) {
			all = append(all, l.Protocol)
		}
	}
	return all
}

func (p *page) try(ctx context.Context, protocol, token string) authorize.Trial {
	u, start := p.Upstream(protocol), time.Now()
	err := p.logIn(ctx, protocol, u, token)
	return authorize.Trial{
		Protocol: strings.ToUpper(protocol),
		Upstream: u.Address(),
		Err:      err,
		Took:     time.Since(start),
		Hint:     proxy.Hint(err),
	}
}

// logIn tries a login. A panic ends one trial, and not all sessions.
func (p *page) logIn(ctx context.Context, protocol string, u *proxy.Upstream, token string) error {
	err := panics.Catch(func() error { return p.daemon.proxy.CheckLogin(ctx, protocol, u, p.config.User(protocol), token) })
	if panics.Log(p.daemon.log, err, "account", p.Name(), "protocol", protocol) {
		return errors.New("internal error; see the log of xoauthd")
	}
	return err
}
