package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/pagepath"
	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/gateway"
)

// An account is an account of the configuration. It implements proxy.Account.
type account struct {
	grants   *auth.Account
	provider *provider
	config   *config.Account
	remedy   string // how to authorize it
	rate     *gateway.Rate
}

// accounts are all accounts of the configuration. It implements proxy.Accounts.
type accounts struct {
	byName    map[string]*account
	byLower   map[string]*account // by lower-case name
	all       []*auth.Account     // in the order of their names
	providers map[string]*provider
	passwords *password.Checker
	web       *config.Web // nil if there are no pages
	gateways  gateways

	// secrets are hidden in what providers and mail servers send. All share one set: two
	// providers of the configuration may use the same servers.
	secrets redact.Secrets
}

// fill creates the accounts of the configuration.
func (as *accounts) fill(c *config.Config, store *store.Store, metrics *oauth.Metrics, passwords *password.Metrics, log *slog.Logger) error {
	as.web = c.Web
	as.gateways.accounts = as
	as.providers = make(map[string]*provider, len(c.Providers))
	for name, p := range c.Providers {
		var err error
		if as.providers[name], err = newProvider(p, metrics, &as.secrets, &as.gateways); err != nil {
			return err
		}
	}
	as.byName = make(map[string]*account, len(c.Accounts))
	as.byLower = make(map[string]*account, len(c.Accounts))
	logins := make([]password.Login, 0, len(c.Accounts))
	names := slices.Sorted(maps.Keys(c.Accounts))
	all := inParallel(len(names), func(i int) *auth.Account {
		a := c.Accounts[names[i]]
		p := as.providers[a.Provider]
		return p.newAccount(a, store, log)
	})
	for i, name := range names {
		a := c.Accounts[name]
		p, kept := as.providers[a.Provider], all[i]
		kept.ForgetLogins(func(protocol string) bool { return p.upstreams[protocol] != nil && serves(c, protocol, a) })
		as.byName[name] = &account{grants: kept, provider: p, config: a, remedy: as.remedy(a), rate: &gateway.Rate{PerMinute: p.config.MessagesPerMinute}}
		as.byLower[strings.ToLower(name)] = as.byName[name]
		as.all = append(as.all, kept)
		logins = append(logins, loginsOf(a)...)
	}
	var err error
	as.passwords, err = password.New(logins, passwords)
	return err
}

// inParallel returns the results of f for 0 to n-1. It calls f from GOMAXPROCS
// goroutines, which is faster where f reads files.
func inParallel[T any](n int, f func(i int) T) []T {
	results := make([]T, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				results[i] = f(int(i))
			}
		})
	}
	workers.Wait()
	return results
}

// serves reports whether a listener of protocol serves a.
func serves(c *config.Config, protocol string, a *config.Account) bool {
	for _, l := range c.Listeners {
		if l.Protocol == protocol && l.Serves(a) {
			return true
		}
	}
	return false
}

// loginsOf returns the logins of an account, its own password first.
func loginsOf(a *config.Account) (logins []password.Login) {
	if a.PasswordHash != "" {
		logins = append(logins, password.Login{User: a.Name, Hash: a.PasswordHash})
	}
	for _, l := range a.Logins {
		logins = append(logins, password.Login{
			Label:     l.Label,
			User:      l.User,
			Hash:      l.PasswordHash,
			Protocols: l.Protocols,
			Networks:  l.Networks,
			Ends:      l.Ends,
		})
	}
	for i := range logins {
		l := &logins[i]
		l.Account, l.Provider, l.Disabled = a.Name, a.Provider, !a.Enabled
	}
	return logins
}

// list returns all accounts in the order of their names.
func (as *accounts) list() []*auth.Account { return as.all }

// watched returns the accounts for metrics and warnings: the enabled ones, and of the
// mailboxes of a pattern those that were used.
func (as *accounts) watched() []*auth.Account {
	var watched []*auth.Account
	for _, a := range as.all {
		c := as.byName[a.Name()].config
		if c.Enabled && (c.Pattern == "" || a.Used()) {
			watched = append(watched, a)
		}
	}
	return watched
}

// registrations returns all providers.
func (as *accounts) registrations() []*oauth.Provider {
	var all []*oauth.Provider
	for _, p := range as.providers {
		all = append(all, p.client)
	}
	return all
}

// upstreams returns the mail servers that a listener can use. An empty only is every
// provider.
func (as *accounts) upstreams(protocol, only string) []*proxy.Upstream {
	var all []*proxy.Upstream
	for _, name := range slices.Sorted(maps.Keys(as.providers)) {
		if u := as.providers[name].upstreams[protocol]; u != nil && (only == "" || only == name) {
			all = append(all, u)
		}
	}
	return all
}

// remedy returns how to authorize an account.
func (as *accounts) remedy(a *config.Account) string {
	p := as.providers[a.Provider].config
	switch {
	case as.web != nil:
		return "open " + Link(as.web, a.Name)
	case p.Flow == flow.AuthorizationCode && p.RedirectURL == "":
		return "add [web] to the configuration, or redirect_url to provider " + p.Name
	}
	return "run xoauthd authorize " + a.Name
}

// Link returns the URL of the page that authorizes the account.
func Link(web *config.Web, account string) string {
	return web.PublicURL + pagepath.Account(account)
}

// LogIn checks a local password, and then the shared mailbox in the user name, if any.
// The client receives the same reply whatever is wrong.
func (as *accounts) LogIn(ctx context.Context, a proxy.Attempt) (proxy.Login, error) {
	user, mailbox, other := splitUser(a.User)
	attempt := password.Attempt(a)
	attempt.User = user
	l, err := as.passwords.Check(ctx, attempt)
	if errors.Is(err, context.DeadlineExceeded) {
		err = proxy.Fail(proxy.TooManySessions, errors.New("too many passwords to check at once"))
	} else {
		err = refusal(err)
	}
	opened := as.byName[l.Account]
	if opened == nil {
		return proxy.Login{}, err
	}
	login := proxy.Login{Account: opened, Provider: opened.config.Provider, Label: l.Label, User: opened.config.User(a.Protocol)}
	if err == nil && other {
		if login.User, err = sharedMailbox(opened.config, a.Protocol, mailbox); err != nil {
			err = proxy.Fail(proxy.BadCredentials, err)
		}
	}
	if opened.sendsByAPI(a.Protocol) {
		login.Account, login.User = apiAccount{opened}, gatewayUser(opened.Name(), l.Label)
	}
	return login, err
}

// Name returns the name of the account.
func (a *account) Name() string { return a.config.Name }

// Upstream returns the mail server for protocol, or nil.
func (a *account) Upstream(protocol string) *proxy.Upstream { return a.provider.upstreams[protocol] }

// Token returns an access token for the mail servers other than stale.
func (a *account) Token(ctx context.Context, stale string) (string, error) {
	token, err := a.grants.Token(ctx, stale)
	return token, a.tokenError(err)
}

// tokenFor returns an access token for r other than stale.
func (a *account) tokenFor(ctx context.Context, r oauth.Resource, stale string) (string, error) {
	if r == oauth.Mail {
		return a.Token(ctx, stale) // or a password
	}
	token, err := a.grants.TokenFor(ctx, r, stale)
	return token, a.tokenError(err)
}

// tokenError converts an error of a token into one of proxy.
func (a *account) tokenError(err error) error {
	if errors.Is(err, oauth.ErrNeedsAuthorization) {
		detail := a.remedy
		if errors.Is(err, oauth.ErrRevoked) {
			detail = err.Error() + "; " + a.remedy
		}
		return &proxy.Error{Result: proxy.NeedsAuthorization, Detail: detail, Err: fmt.Errorf("%w: %s", err, a.remedy)}
	}
	return refusal(err)
}

// LoginEnded records the result of a login in the status of the account.
func (a *account) LoginEnded(protocol string, err error) {
	var e *proxy.Error
	switch {
	case err == nil:
		a.grants.LoggedIn(protocol)
	case errors.As(err, &e) && e.Result == proxy.UpstreamDown:
		a.grants.LoginFailed(protocol, auth.ProblemUnavailable, proxy.Reply(err), proxy.Hint(err))
	case errors.As(err, &e) && e.Result == proxy.Misconfigured:
		a.grants.LoginFailed(protocol, auth.ProblemMisconfigured, proxy.Reply(err), proxy.Hint(err))
	case errors.As(err, &e) && (e.Result == proxy.UpstreamRefused || e.Result == proxy.ProviderDown):
		// ProviderDown: the server refuses the token, and there is no other.
		a.grants.LoginFailed(protocol, auth.ProblemRefused, proxy.Reply(err), proxy.Hint(err))
	}
}

// refusal converts an error of auth into one of proxy.
func refusal(err error) error {
	var e *oauth.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, password.ErrRefused):
		return proxy.Fail(proxy.BadCredentials, err)
	case errors.Is(err, password.ErrThrottled):
		return proxy.Fail(proxy.TooManyGuesses, err)
	case errors.Is(err, oauth.ErrRefused):
		return proxy.Fail(proxy.UpstreamRefused, err)
	case errors.As(err, &e) && e.Kind == oauth.Misconfigured:
		return proxy.Fail(proxy.Misconfigured, err)
	case errors.As(err, &e):
		return proxy.Fail(proxy.ProviderDown, err)
	case errors.Is(err, context.DeadlineExceeded): // the token takes too long
		return proxy.Fail(proxy.ProviderDown, err)
	case errors.Is(err, context.Canceled):
		return proxy.Fail(proxy.Stopping, err)
	}
	return proxy.Fail(proxy.Internal, err)
}
