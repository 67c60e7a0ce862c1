// Package authorize is the web endpoint where a person authorizes an account:
// the authorization code grant (RFC 6749 section 4.1) with PKCE (RFC 7636) and
// the issuer check (RFC 9207), and the pages around it. What the provider gave
// is tried at the mail servers before it is kept, and the page tells step by
// step what came of it. The pages need no JavaScript.
package authorize

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

// An Account is what a page can authorize. Its methods are called by several
// goroutines at once. What its errors say is shown and logged: they must hold
// no secret.
type Account interface {
	// Name is the address of the mailbox. It names the account's page.
	Name() string
	// Provider is the provider's name, as a person is to read it.
	Provider() string
	// Status tells how the account stands.
	Status() auth.Status
	// Issuer is the provider's identifier (RFC 9207 section 2), or empty if
	// none is known and the callback's iss is not to be compared.
	Issuer() string
	// RedirectURL is the callback, as registered at the provider.
	RedirectURL() string
	// Scopes are what is asked for.
	Scopes() []string
	// AuthCodeURL is where the browser is sent, with the S256 challenge of
	// verifier.
	AuthCodeURL(state, verifier string) string
	// Exchange redeems the code of a callback. What the provider answered is
	// an *auth.Error.
	Exchange(ctx context.Context, code, verifier string) (auth.Grant, error)
	// Try logs in upstream with g as the account, on every protocol that is
	// configured for it.
	Try(ctx context.Context, g auth.Grant) []Trial
	// Keep saves g and puts it to use. After an auth.ErrNotSaved it is in use,
	// but lost when the daemon ends; after an auth.ErrEarlierKept it is not.
	Keep(g auth.Grant) error
}

// A Trial tells what came of one login upstream.
type Trial struct {
	Protocol string        // as shown: "IMAP"
	Upstream string        // host:port
	Err      error         // nil if the mailbox opened
	Took     time.Duration // from dialling to the reply
	Hint     string        // what a person can do about Err, or empty
}

// Config is what an endpoint needs. Only Accounts and ListenAddress must be
// there.
type Config struct {
	Accounts      []Account    // in the order shown
	ListenAddress string       // host:port that the endpoint is served on
	PublicURL     string       // where browsers find it, if that differs; its path is put before every page's
	Version       string       // of the program, as shown
	Log           *slog.Logger // told how each authorization ended
}

// An endpoint is the handler of all pages.
type endpoint struct {
	accounts []*account
	base     string          // path that every page's begins with; no slash at its end
	hosts    map[string]bool // names that browsers may know the endpoint by
	cross    http.CrossOriginProtection
	views    *template.Template
	attempts attempts
	version  string
	log      *slog.Logger
}

// An account is an Account with what follows from its URLs.
type account struct {
	Account
	path       string // of its page
	origin     string // of the redirect URL: the cookie must be set there
	host       string // of that origin, as canonicalHost has it
	callback   string // path of the redirect URL, escaped
	cookie     string // name of the cookie that binds a browser
	secure     bool   // the redirect URL is https
	formAction string // CSP sources that the button may lead to
}

// New returns the handler of the pages. It is to be served at the root, with
// the path of each request as the browser sent it. The error tells of every
// account that has no usable URLs or name.
func New(c Config) (http.Handler, error) {
	e := &endpoint{hosts: map[string]bool{}, version: c.Version, log: c.Log}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if e.views, err = parseViews(); err != nil {
		return nil, err
	}
	var faults []error
	if c.PublicURL != "" {
		public, err := webURL(c.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("public URL: %w", err)
		}
		e.base = strings.TrimRight(public.EscapedPath(), "/")
		e.hosts[canonicalHost(public.Host)] = true
	}
	if err := e.allowListener(c.ListenAddress); err != nil {
		faults = append(faults, err)
	}
	for _, a := range c.Accounts {
		if err := e.add(a); err != nil {
			faults = append(faults, fmt.Errorf("account %s: %w", a.Name(), err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return e.guard(e.routes()), nil
}

// add makes a known to the endpoint.
func (e *endpoint) add(a Account) error {
	switch name := a.Name(); {
	case name == "", name == ".", name == "..":
		return errors.New("this name cannot be part of a page's address")
	case e.account(name) != nil:
		return errors.New("is there twice")
	}
	redirect, err := webURL(a.RedirectURL())
	if err != nil {
		return fmt.Errorf("redirect URL: %w", err)
	}
	provider, err := webURL(a.AuthCodeURL("", ""))
	if err != nil {
		return fmt.Errorf("authorization URL: %w", err)
	}
	n := &account{
		Account:  a,
		path:     e.base + "/authorize/" + url.PathEscape(a.Name()),
		origin:   redirect.Scheme + "://" + strings.ToLower(redirect.Host),
		host:     canonicalHost(redirect.Host),
		callback: redirect.EscapedPath(),
		cookie:   "xoauthd",
		secure:   redirect.Scheme == "https",
		// Chromium holds every redirect that follows a form to form-action,
		// and a provider may pass the browser on to others at once (personal
		// Microsoft accounts, a company's own sign-in): not its origin but its
		// scheme is all that can be said beforehand.
		formAction: "'self' " + provider.Scheme + ":",
	}
	if n.secure {
		n.cookie = "__Host-xoauthd" // which no other port and no plain http can set
	}
	if n.callback == "" {
		n.callback = "/" // as browsers ask for it
	}
	if strings.TrimSuffix(path.Clean(n.callback), "/") != strings.TrimSuffix(n.callback, "/") {
		return fmt.Errorf("redirect URL: the path %s is not plain", n.callback)
	}
	for _, taken := range []string{"/authorize/", "/result/", "/style.css", "/icon.svg"} {
		if strings.HasPrefix(n.callback, e.base+taken) {
			return fmt.Errorf("redirect URL: the path %s is that of another page", n.callback)
		}
	}
	// A reverse proxy may pass on another Host than the browser's.
	if err := e.cross.AddTrustedOrigin(n.origin); err != nil {
		return fmt.Errorf("redirect URL: %w", err)
	}
	e.hosts[n.host] = true
	e.accounts = append(e.accounts, n)
	return nil
}

// account returns the account of that name, or nil.
func (e *endpoint) account(name string) *account {
	for _, a := range e.accounts {
		if strings.EqualFold(a.Name(), name) { // as logins are matched
			return a
		}
	}
	return nil
}

// routes returns the pages by path and method.
func (e *endpoint) routes() *http.ServeMux {
	mux := http.NewServeMux()
	index := e.base + "/"
	mux.HandleFunc("GET "+index+"{$}", e.index)
	mux.HandleFunc("GET "+e.base+"/authorize/{account}", e.show)
	mux.HandleFunc("POST "+e.base+"/authorize/{account}", e.begin)
	mux.HandleFunc("GET "+e.base+"/result/{id}", e.result)
	mux.HandleFunc("GET "+e.base+"/style.css", asset("style.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET "+e.base+"/icon.svg", asset("icon.svg", "image/svg+xml"))

	known := map[string]bool{index: true} // where index looks for callbacks
	for _, a := range e.accounts {
		if known[a.callback] {
			continue
		}
		known[a.callback] = true
		pattern := "GET " + a.callback
		if strings.HasSuffix(a.callback, "/") {
			pattern += "{$}" // this page, not all below it
		}
		mux.HandleFunc(pattern, e.callback)
	}
	return mux
}

// webURL parses an absolute URL that a browser can be sent to.
func webURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	shown, _, _ := strings.Cut(s, "?")
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL", shown)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q must begin with https:// or http://", shown)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q names no host", shown)
	}
	return u, nil
}
