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

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/panics"
	"github.com/xoauthd/xoauthd/internal/shutdown"
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
	var pages []*authorize.Account
	for _, a := range d.accounts.list() {
		pages = append(pages, d.manager(a.Name(), web.shutdown).authorizable())
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

// A manager authorizes, tests and revokes the grants of an account. It implements
// authorize.Grants.
type manager struct {
	account  *account
	daemon   *Daemon
	shutdown *shutdown.Shutdown
}

// manager returns the manager of the account with this name.
func (d *Daemon) manager(name string, s *shutdown.Shutdown) *manager {
	return &manager{d.accounts.byName[name], d, s}
}

// authorizable returns the account for package authorize.
func (m *manager) authorizable() *authorize.Account {
	a, c := m.account.config, m.account.provider.config
	uri, note := c.Registration()
	return &authorize.Account{
		Name:      a.Name,
		Pattern:   a.Pattern,
		Provider:  m.account.provider.title,
		Flow:      c.Flow,
		Enabled:   a.Enabled,
		LoginHint: a.LoginHint,
		Registration: authorize.Registration{
			RedirectURL:  c.RedirectURL,
			RedirectURI:  uri,
			RedirectNote: note,
			Scopes:       c.ConsentScopes(),
			Issuer:       c.Issuer,
			RequireIss:   c.RequireIss,
			IssDecided:   c.IssDecided,
			ChecksUser:   c.ChecksUser(),
		},
		Client:   m.account.provider.client,
		Grants:   m,
		Shutdown: m.shutdown,
	}
}

// Status implements authorize.Grants.
func (m *manager) Status() auth.Status { return m.account.grants.Status() }

// Access implements authorize.Grants.
func (m *manager) Access() auth.Access { return m.account.grants.Access() }

// LoginEnded implements authorize.Grants.
func (m *manager) LoginEnded(protocol string, err error) { m.account.LoginEnded(protocol, err) }

// Try logs in to all servers of the account that a listener serves, at the same time: a
// person waits.
func (m *manager) Try(ctx context.Context, g oauth.Grant) []authorize.Trial {
	protocols := m.protocols()
	if len(protocols) == 0 {
		return []authorize.Trial{{Protocol: "login", Err: m.noListener()}}
	}
	trials := make([]authorize.Trial, len(protocols))
	var all sync.WaitGroup
	for i, protocol := range protocols {
		all.Go(func() { trials[i] = m.try(ctx, protocol, g.AccessToken) })
	}
	all.Wait()
	return trials
}

func (m *manager) noListener() error {
	return fmt.Errorf("no listener of the configuration serves provider %s", m.account.provider.title)
}

// protocols returns the protocols of the listeners that serve the account, in their order.
func (m *manager) protocols() []string {
	var all []string
	for _, l := range m.daemon.config.Listeners {
		u := m.account.Upstream(l.Protocol)
		if u != nil && !slices.Contains(all, l.Protocol) && l.Serves(m.account.config) {
			all = append(all, l.Protocol)
		}
	}
	return all
}

func (m *manager) try(ctx context.Context, protocol, token string) authorize.Trial {
	u, start := m.account.Upstream(protocol), time.Now()
	var err error
	if !u.InProcess { // nothing but a message shows whether an API accepts the token
		err = m.logIn(ctx, protocol, u, token)
	}
	return authorize.Trial{
		Protocol: strings.ToUpper(protocol),
		Upstream: u.Address(),
		Err:      err,
		Took:     time.Since(start),
		Hint:     proxy.Hint(err),
	}
}

// logIn tries a login. A panic ends one trial, and not all sessions.
func (m *manager) logIn(ctx context.Context, protocol string, u *proxy.Upstream, token string) error {
	err := panics.Catch(func() error {
		return m.daemon.proxy.CheckLogin(ctx, protocol, u, m.account.config.User(protocol), token)
	})
	if panics.Log(m.daemon.log, err, "account", m.account.Name(), "protocol", protocol) {
		return errors.New("internal error; see the log of xoauthd")
	}
	return err
}
