// Package authorize implements the web pages on which a person authorizes an account.
// It supports the authorization code grant (RFC 6749 section 4.1) with PKCE (RFC 7636)
// and the issuer check (RFC 9207), and the device flow (RFC 8628). Before it keeps a
// grant, it logs in to the mail servers with it. A result page shows each step. The
// pages need no JavaScript. NewCodeFlow, AwaitDevice and Adopt do the same for the
// command line.
package authorize

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/pagepath"
	"github.com/xoauthd/xoauthd/internal/panics"
	"github.com/xoauthd/xoauthd/internal/shutdown"
)

// An Account is an account that the pages show and authorize.
type Account struct {
	Name     string    // address of the mailbox; the path of the account's page contains it
	Pattern  string    // pattern of the configuration that it matches, such as "*@example.com"; may be empty
	Provider string    // display name of the provider
	Flow     flow.Flow // without consent, the account is shown but cannot be authorized
	Enabled  bool      // if false, the account is shown but cannot be authorized

	// LoginHint is the address with which the person signs in at the provider, if that is
	// not Name: the address of a delegate with access to the mailbox.
	LoginHint string

	// Registration and Client are used only if Flow needs consent.
	Registration Registration
	Client       Client

	Grants   Grants
	Shutdown *shutdown.Shutdown // ends authorizations; nil never does
}

// A Client is xoauthd as a client of the account's provider. *oauth.Provider implements it.
// Several goroutines call its methods at once. Its errors are shown and logged, so they must
// hold no secrets. If the provider answers with an error, that is an *oauth.Error.
type Client interface {
	// Hint returns what a person can do about an error of the authorization endpoint
	// (RFC 6749 section 4.1.2.1), or "".
	Hint(code, description string) string
	// AuthCodeURL returns the URL of the authorization request, with the S256 challenge
	// of verifier (RFC 7636 section 4.2).
	AuthCodeURL(state, verifier, loginHint string) string
	// SendsIss reports whether the provider's metadata say that each authorization
	// response has an iss (RFC 9207 section 3). It may send a request to the provider.
	SendsIss(ctx context.Context) bool
	// Redact returns a text of the provider without the secrets of the configuration.
	Redact(text string) string
	// Exchange exchanges the code of a callback for a grant.
	Exchange(ctx context.Context, code, verifier string) (oauth.Grant, error)
	// DeviceAuth requests a device code from the provider (RFC 8628 section 3.1).
	DeviceAuth(ctx context.Context) (*oauth.Device, error)
	// AwaitDevice polls the provider (RFC 8628 section 3.4) until the person agrees or
	// refuses, the code of d expires, or ctx is done.
	AwaitDevice(ctx context.Context, d *oauth.Device) (oauth.Grant, error)
}

// Grants has the grant of an account, tests new grants, and keeps or revokes them. Several
// goroutines call its methods at once. Its errors hold no secrets.
type Grants interface {
	// Status returns the present state of the account.
	Status() auth.Status
	// Access returns the protocols and scopes of the present grant.
	Access() auth.Access
	// Try logs in to the upstream servers with g, by each protocol that is configured
	// for the account.
	Try(ctx context.Context, g oauth.Grant) []Trial
	// LoginEnded records the result of an upstream login with the account's grant. The
	// protocol is in lower case, such as "imap". err is the error of the Trial.
	LoginEnded(protocol string, err error)
	// Keep saves g and uses it instead of the present grant, whose Access is present. An
	// imported grant comes from another program, and may descend from the present grant.
	// After an auth.ErrNotSaved, g is in use but will be lost when the daemon ends.
	// After an auth.ErrEarlierKept or auth.ErrReplaced, g is not in use.
	Keep(g oauth.Grant, present auth.Access, imported bool) error
	// Discard revokes g, which was obtained for the account but not kept. It does not
	// block.
	Discard(g oauth.Grant)
}

// A Registration describes the registration of xoauthd as a client at a provider.
type Registration struct {
	// RedirectURL is the URL to which the provider redirects the browser with its
	// response. If the pages are not reachable there, the person pastes the address.
	RedirectURL string
	// RedirectURI is the redirect URI to register at the provider so that it accepts
	// RedirectURL. If the two differ, RedirectNote is a sentence that explains why.
	RedirectURI, RedirectNote string

	Scopes []string // scopes of the authorization request

	// ChecksUser reports whether the provider's mail servers are known to compare the
	// user name of a login with the access token.
	ChecksUser bool

	// Issuer is the provider's identifier (RFC 9207 section 2), in which
	// {tenantid} stands for any GUID. If it is empty, a response must have no iss;
	// if RequireIss is set, or SendsIss reports so, it must have one. If IssDecided is
	// set, SendsIss does not count.
	Issuer                 string
	RequireIss, IssDecided bool
}

// A Trial is the result of one trial login at an upstream server.
type Trial struct {
	Protocol string        // in upper case: "IMAP"
	Upstream string        // host:port
	Err      error         // nil if the login succeeded
	Took     time.Duration // from the start of dialing to the reply
	Hint     string        // what a person can do about Err; may be empty
}

// Config holds the parameters of New. Accounts is required, and ListenAddresses or
// PublicURL.
type Config struct {
	Accounts        []*Account   // in the order of the list
	ListenAddresses []string     // host:port of each listener
	PublicURL       string       // URL of the pages for browsers, if it differs from the listeners; its path precedes all paths
	Version         string       // version of xoauthd, shown on each page
	Log             *slog.Logger // receives one line for each authorization; nil discards them

	// Source returns a key of the client that sent r, such as the local user. The
	// limits of one client apply to each key. If Source is nil, the key is the client's
	// IP address.
	Source func(r *http.Request) string

	// Go runs f in the background. Functions that run in the background may save a
	// grant, so the caller must wait for them before it closes the store. If Go is nil,
	// New uses a go statement.
	Go func(f func())
}

// An endpoint handles the requests for all pages.
type endpoint struct {
	accounts   []*account          // in the order of the list
	byName     map[string]*account // by lower-case name
	base       string              // prefix of all paths, without a trailing slash
	public     string              // origin of the public URL; may be empty
	listener   map[string]bool     // host:port values of the listeners
	hosts      map[string]bool     // allowed Host headers
	cross      http.CrossOriginProtection
	views      *template.Template
	pending    pendingAuthorizations
	version    string
	log        *slog.Logger
	source     func(*http.Request) string
	background func(f func()) // runs f in the background
}

// New returns the handler of the pages. Serve it at the root, with the path of each
// request as the browser sent it. The error joins the errors of all accounts with an
// invalid name or URL.
func New(c Config) (http.Handler, error) {
	e := &endpoint{byName: make(map[string]*account, len(c.Accounts)), hosts: map[string]bool{}, listener: map[string]bool{}, version: c.Version, log: c.Log, source: c.Source, background: c.Go}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.source == nil {
		e.source = clientAddress
	}
	if e.background == nil {
		e.background = func(f func()) { go f() }
	}
	var err error
	if e.views, err = parseViews(); err != nil {
		return nil, err
	}
	var faults []error
	if c.PublicURL != "" {
		if err := e.allowPublic(c.PublicURL); err != nil {
			return nil, fmt.Errorf("public URL: %w", err)
		}
	}
	for _, address := range c.ListenAddresses {
		if err := e.allowListener(address); err != nil {
			faults = append(faults, err)
		}
	}
	for _, a := range c.Accounts {
		if err := e.add(a); err != nil {
			faults = append(faults, fmt.Errorf("account %s: %w", a.Name, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return e.protect(e.routes()), nil
}

// recoverPanic returns the result of f. If f panics, it logs the panic and returns the
// result internalError, so that a panic ends only one authorization.
func (e *endpoint) recoverPanic(a *account, f func() Result) (result Result) {
	err := panics.Catch(func() error {
		result = f()
		return nil
	})
	if panics.Log(e.log, err, "account", a.Name) {
		result = (&resultBuilder{account: a.Account}).internalError()
	}
	return result
}

// account returns the account with this name, without regard to case, or nil.
func (e *endpoint) account(name string) *account { return e.byName[strings.ToLower(name)] }

// A page is a handler at a path of pagepath.Reserved, or below it.
type page struct {
	method, path, below string
	handler             http.HandlerFunc
}

func (e *endpoint) pages() []page {
	return []page{
		{"GET", pagepath.Authorize, "{account}", e.show},
		{"POST", pagepath.Authorize, "{account}", e.start},
		{"POST", pagepath.Authorize, "{account}/address", e.paste},
		{"GET", pagepath.Result, "{id}", e.result},
		{"POST", pagepath.Result, "{id}", e.decide},
		{"GET", pagepath.Style, "", asset("style.css", "text/css; charset=utf-8")},
		{"GET", pagepath.Icon, "", asset("icon.svg", "image/svg+xml")},
	}
}

// routes returns the handlers of the list of accounts, of all pages, and of the callbacks,
// by method and path.
func (e *endpoint) routes() *http.ServeMux {
	mux := http.NewServeMux()
	index := e.base + "/"
	mux.HandleFunc("GET "+index+"{$}", e.index)
	for _, p := range e.pages() {
		mux.HandleFunc(p.method+" "+e.base+p.path+p.below, p.handler)
	}
	known := map[string]bool{index: true} // the handler of index also handles callbacks
	for _, a := range e.accounts {
		if a.callback == "" || known[a.callback] {
			continue
		}
		known[a.callback] = true
		pattern := "GET " + a.callback
		if strings.HasSuffix(a.callback, "/") {
			pattern += "{$}" // only this path, not the paths below it
		}
		mux.HandleFunc(pattern, e.callback)
	}
	return mux
}

// webURL parses an absolute http or https URL. Its errors do not quote the query.
func webURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	shown, _, _ := strings.Cut(s, "?")
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL", shown)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q must begin with https:// or http://", shown)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host", shown)
	}
	return u, nil
}
