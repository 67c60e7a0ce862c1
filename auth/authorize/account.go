package authorize

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/pagepath"
)

// An account is an Account with the values that the endpoint derives from its URLs.
// Origin, host and callback are empty if the flow has no redirect URL.
type account struct {
	*Account
	path       string // path of the account's page
	origin     string // origin of the redirect URL
	host       string // host of that origin, in the form of canonicalHost
	callback   string // escaped path of the redirect URL
	formAction string // sources of the CSP directive form-action

	// lastDeviceAuth holds the last request for a device code by source. The mutex of
	// pendingAuthorizations guards it.
	lastDeviceAuth map[string]*pendingAuthorization
}

// add adds a to the endpoint.
func (e *endpoint) add(a *Account) error {
	switch name := a.Name; {
	case name == "", name == ".", name == "..":
		return errors.New("this name cannot be part of a page's address")
	case e.account(name) != nil:
		return errors.New("this name is used twice")
	}
	n := &account{Account: a, path: e.base + pagepath.Account(a.Name), formAction: "'self'"}
	if a.Flow.NeedsConsent() && !n.usesDeviceCode() {
		if err := e.addCallback(n); err != nil {
			return err
		}
	}
	e.accounts = append(e.accounts, n)
	e.byName[strings.ToLower(a.Name)] = n
	return nil
}

// addCallback adds the redirect URL of a to the endpoint.
func (e *endpoint) addCallback(a *account) error {
	redirect, err := webURL(a.Registration.RedirectURL)
	if err != nil {
		return fmt.Errorf("redirect URL: %w", err)
	}
	provider, err := webURL(a.Client.AuthCodeURL("", "", a.LoginHint))
	if err != nil {
		return fmt.Errorf("authorization URL: %w", err)
	}
	a.origin, a.host, a.callback = originOf(redirect), canonicalHost(redirect.Host), pathOf(redirect)
	// Chromium applies form-action to every redirect after a form. The provider may
	// redirect the browser to further origins (personal Microsoft accounts, a company's
	// own sign-in), so only the scheme is known.
	a.formAction += " " + provider.Scheme + ":"
	if strings.TrimSuffix(path.Clean(a.callback), "/") != strings.TrimSuffix(a.callback, "/") {
		return fmt.Errorf("redirect URL: the path %s has . or .. or // in it", a.callback)
	}
	for _, taken := range pagepath.Reserved() {
		if strings.HasPrefix(a.callback, e.base+taken) {
			return fmt.Errorf("redirect URL: the path %s is already used by another page", a.callback)
		}
	}
	// A reverse proxy may change the Host header.
	if err := e.cross.AddTrustedOrigin(a.origin); err != nil {
		return fmt.Errorf("redirect URL: %w", err)
	}
	e.hosts[a.host] = true
	return nil
}

// usesDeviceCode reports whether a uses the device flow, which has no redirect URL.
func (a *account) usesDeviceCode() bool { return a.Flow == flow.DeviceCode }

// redirectedQuery is the query of an account's page after redirectToOrigin.
const redirectedQuery = "moved"

// onRedirectOrigin reports whether the browser that sent r is at the origin of the
// redirect URL, so that it will send the cookie with the callback. After
// redirectToOrigin it is there, even if a reverse proxy has changed the Host header.
func (a *account) onRedirectOrigin(r *http.Request) bool {
	return canonicalHost(r.Host) == a.host || r.URL.RawQuery == redirectedQuery
}

// servesOrigin reports whether the browser that sent r reaches these pages at the origin
// of the redirect URL. This is so if that origin is the public URL's. It is also so if
// both the redirect URL and r name the listener as a host of this machine, which includes
// a tunnel to it. Any other redirect URL may lead to the person's own machine, where
// nothing listens.
func (e *endpoint) servesOrigin(a *account, r *http.Request) bool {
	return a.origin == e.public ||
		a.origin == "http://"+a.host && e.listener[a.host] && e.listener[canonicalHost(r.Host)]
}

// redirectToOrigin redirects the browser to the account's page at the origin of the
// redirect URL, and reports whether it did. Otherwise the browser would not send the
// cookie with the callback: a cookie of 127.0.0.1 is not sent to localhost.
func (e *endpoint) redirectToOrigin(w http.ResponseWriter, r *http.Request, a *account, status int) bool {
	if a.onRedirectOrigin(r) || !e.servesOrigin(a, r) {
		return false
	}
	http.Redirect(w, r, a.origin+a.path+"?"+redirectedQuery, status)
	return true
}

// usesHTTPS reports whether the browser that sent r uses HTTPS, even if a reverse proxy
// ends TLS.
func (e *endpoint) usesHTTPS(a *account, r *http.Request) bool {
	origin := e.public
	if a.onRedirectOrigin(r) && a.origin != "" {
		origin = a.origin
	}
	scheme, host, _ := strings.Cut(origin, "://")
	return scheme == "https" && (canonicalHost(host) == canonicalHost(r.Host) || r.URL.RawQuery == redirectedQuery)
}
