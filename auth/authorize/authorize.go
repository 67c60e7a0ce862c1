// Package authorize is the web endpoint where a person authorizes an account:
// the authorization code grant (RFC 6749 section 4.1) with PKCE (RFC 7636) and
// the issuer check (RFC 9207), or the code for another device (RFC 8628), and
// the pages around them. What the provider gave is tried at the mail servers
// before it is kept, and the page tells step by step what came of it. The pages
// need no JavaScript. A terminal can take the same ways: Begin, AwaitDevice and
// Adopt.
package authorize

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

// An Account is what a page shows, and can authorize. Its methods are called by
// several goroutines at once. What its errors say is shown and logged: they must
// hold no secret.
type Account interface {
	// Name is the address of the mailbox. It names the account's page.
	Name() string
	// Pattern is what the account is one of many by, "*@example.com", or empty.
	Pattern() string
	// Provider is the provider's name, as a person is to read it.
	Provider() string
	// Hint tells what to do about an error of the authorization endpoint (RFC 6749
	// section 4.1.2.1), or nothing.
	Hint(code, description string) string
	// Flow is how the account gets its tokens, in the configuration's word.
	Flow() string
	// Enabled reports whether programs may log in. An account that is not can
	// be looked at, but not authorized.
	Enabled() bool
	// Attended reports whether a person authorizes the account: by a device's
	// code if that is its Flow, else by the authorization code grant. What
	// follows, up to AwaitDevice, is asked only of an account that is.
	Attended() bool
	// LoginHint is the address to sign in with at the provider: the mailbox's,
	// or that of a delegate who may use it.
	LoginHint() string
	// Status tells how the account stands.
	Status() auth.Status
	// Registration is what the client and the provider have agreed on.
	Registration() Registration
	// AuthCodeURL is where the browser is sent, with the S256 challenge of
	// verifier.
	AuthCodeURL(state, verifier string) string
	// Redact returns text of the provider without the secrets that it knows.
	Redact(text string) string
	// Exchange redeems the code of a callback. What the provider answered is
	// an *auth.Error.
	Exchange(ctx context.Context, code, verifier string) (auth.Grant, error)
	// DeviceAuth asks the provider for a code that a person can enter
	// elsewhere.
	DeviceAuth(ctx context.Context) (*auth.Device, error)
	// AwaitDevice waits until a person has entered the code of d and agreed, or
	// refused, until the code expires or ctx is done. What the provider
	// answered is an *auth.Error.
	AwaitDevice(ctx context.Context, d *auth.Device) (auth.Grant, error)
	// Try logs in upstream with g as the account, on every protocol that is
	// configured for it.
	Try(ctx context.Context, g auth.Grant) []Trial
	// LoginEnded tells the account how a login with its grant ended: nil if its mail
	// server for protocol, "imap" for example, accepted it, otherwise the error of
	// the Trial.
	LoginEnded(protocol string, err error)
	// Access tells what the present grant opens.
	Access() auth.Access
	// Keep saves g and puts it to use in the place of the grant that present is of.
	// After an auth.ErrNotSaved it is in use, but lost when the daemon ends; after
	// an auth.ErrEarlierKept or auth.ErrReplaced it is not.
	Keep(g auth.Grant, present auth.Access) error
	// Discard tells the account that g, which was obtained for it, is not kept. It
	// does not block.
	Discard(g auth.Grant)
}

// A Registration is what a client and its provider have agreed on.
type Registration struct {
	// RedirectURL is where the provider sends the browser with its response. It
	// may lead where the pages are not: a person then pastes the address.
	RedirectURL string
	// RedirectURI is what to register at the provider so that it accepts
	// RedirectURL. Where it is not the same, RedirectNote is a sentence that says
	// why.
	RedirectURI, RedirectNote string

	Scopes []string // that are asked for

	// ChecksUser reports that the provider's mail servers are known to open a
	// mailbox only to those who may use it, whatever user name a client gives.
	ChecksUser bool

	// Issuer is the provider's identifier (RFC 9207 section 2), in which
	// {tenantid} stands for any GUID. If it is empty, a response must have no iss;
	// if RequireIss is set, it must have one.
	Issuer     string
	RequireIss bool
}

// A Trial tells what came of one login upstream.
type Trial struct {
	Protocol string        // as shown: "IMAP"
	Upstream string        // host:port
	Err      error         // nil if the mailbox opened
	Took     time.Duration // from dialling to the reply
	Hint     string        // what a person can do about Err, or empty
}

// Config is what an endpoint needs. Accounts must be there, and
// ListenAddresses or PublicURL.
type Config struct {
	Accounts        []Account    // in the order shown
	ListenAddresses []string     // each host:port that the endpoint is served on
	PublicURL       string       // where browsers find it, if that differs; its path is put before every page's
	Version         string       // of the program, as shown
	Log             *slog.Logger // told how each authorization ended

	// Source tells apart who sends requests, so that none can use up what is for
	// all: by user of the machine, say. If it is nil, that is the client's address.
	Source func(r *http.Request) string

	// Go runs f in the background, as a go statement does, which it is if it is
	// nil. What runs so may save a grant: the store is to be closed after it.
	Go func(f func())
}

// An endpoint is the handler of all pages.
type endpoint struct {
	accounts []*account          // in the order shown
	byName   map[string]*account // by folded name
	base     string              // path that every page's begins with; no slash at its end
	public   string              // origin of the public URL; empty if it has none
	listener map[string]bool     // names, with the port, of what it listens on
	hosts    map[string]bool     // names that browsers may know the endpoint by
	cross    http.CrossOriginProtection
	views    *template.Template
	attempts attempts
	version  string
	log      *slog.Logger
	source   func(*http.Request) string
	run      func(f func()) // in the background
}

// New returns the handler of the pages. It is to be served at the root, with
// the path of each request as the browser sent it. The error tells of every
// account that has no usable URLs or name.
func New(c Config) (http.Handler, error) {
	e := &endpoint{byName: make(map[string]*account, len(c.Accounts)), hosts: map[string]bool{}, listener: map[string]bool{}, version: c.Version, log: c.Log, source: c.Source, run: c.Go}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.source == nil {
		e.source = clientAddress
	}
	if e.run == nil {
		e.run = func(f func()) { go f() }
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
			faults = append(faults, fmt.Errorf("account %s: %w", a.Name(), err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return e.guard(e.routes()), nil
}

// guarded runs work, and makes an Outcome of a panic in it: that ends one
// authorization, and neither the daemon nor the wait for a result.
func (e *endpoint) guarded(a *account, work func() Outcome) (o Outcome) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("panic", "account", a.Name(), "why", fmt.Sprint(p), "stack", string(debug.Stack()))
			o = (&result{account: a}).broken()
		}
	}()
	return work()
}

// account returns the account of that name, or nil. Names are compared as logins are,
// without regard to case.
func (e *endpoint) account(name string) *account { return e.byName[strings.ToLower(name)] }

// routes returns the pages by path and method.
func (e *endpoint) routes() *http.ServeMux {
	mux := http.NewServeMux()
	index := e.base + "/"
	mux.HandleFunc("GET "+index+"{$}", e.index)
	mux.HandleFunc("GET "+e.base+accountPath+"{account}", e.show)
	mux.HandleFunc("POST "+e.base+accountPath+"{account}", e.begin)
	mux.HandleFunc("POST "+e.base+accountPath+"{account}/address", e.paste)
	mux.HandleFunc("GET "+e.base+resultPath+"{id}", e.result)
	mux.HandleFunc("POST "+e.base+resultPath+"{id}", e.decide)
	mux.HandleFunc("GET "+e.base+stylePath, asset("style.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET "+e.base+iconPath, asset("icon.svg", "image/svg+xml"))

	known := map[string]bool{index: true} // where index looks for callbacks
	for _, a := range e.accounts {
		if a.callback == "" || known[a.callback] {
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
