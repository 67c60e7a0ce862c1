package authorize

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
)

// An account is an Account with what follows from its URLs. What is about the
// redirect URL is empty where the flow has none.
type account struct {
	Account
	path       string // of its page
	origin     string // of the redirect URL
	host       string // of that origin, as canonicalHost has it
	callback   string // path of the redirect URL, escaped
	formAction string // CSP sources that the buttons may lead to

	asked map[string]*attempt // that asked for a device's code last, by source; guarded by the mutex of attempts
}

// add makes a known to the endpoint.
func (e *endpoint) add(a Account) error {
	switch name := a.Name(); {
	case name == "", name == ".", name == "..":
		return errors.New("this name cannot be part of a page's address")
	case e.account(name) != nil:
		return errors.New("is there twice")
	}
	n := &account{Account: a, path: e.base + AccountPath(a.Name()), formAction: "'self'"}
	if a.Attended() && !n.byDevice() {
		if err := e.addCallback(n); err != nil {
			return err
		}
	}
	e.accounts = append(e.accounts, n)
	e.byName[strings.ToLower(a.Name())] = n
	return nil
}

// addCallback makes the redirect URL of a known to the endpoint.
func (e *endpoint) addCallback(a *account) error {
	redirect, err := webURL(a.Registration().RedirectURL)
	if err != nil {
		return fmt.Errorf("redirect URL: %w", err)
	}
	provider, err := webURL(a.AuthCodeURL("", ""))
	if err != nil {
		return fmt.Errorf("authorization URL: %w", err)
	}
	a.origin, a.host, a.callback = originOf(redirect), canonicalHost(redirect.Host), pathOf(redirect)
	// Chromium holds every redirect that follows a form to form-action, and a
	// provider may pass the browser on to others at once (personal Microsoft
	// accounts, a company's own sign-in): not its origin but its scheme is all
	// that can be said beforehand.
	a.formAction += " " + provider.Scheme + ":"
	if strings.TrimSuffix(path.Clean(a.callback), "/") != strings.TrimSuffix(a.callback, "/") {
		return fmt.Errorf("redirect URL: the path %s is not plain", a.callback)
	}
	for _, taken := range PagePaths() {
		if strings.HasPrefix(a.callback, e.base+taken) {
			return fmt.Errorf("redirect URL: the path %s is that of another page", a.callback)
		}
	}
	// A reverse proxy may pass on another Host than the browser's.
	if err := e.cross.AddTrustedOrigin(a.origin); err != nil {
		return fmt.Errorf("redirect URL: %w", err)
	}
	e.hosts[a.host] = true
	return nil
}

// byDevice reports whether a person enters a code at the provider, and no
// browser has to come back from there.
func (a *account) byDevice() bool { return a.Flow() == "device_code" }

// movedMark is the query of an account's page that the browser was moved to.
const movedMark = "moved"

// atCallback reports whether r comes from a browser that is where the callback
// will come, so that its cookie will be sent then. One that was moved there is:
// a reverse proxy may hide the name that the browser uses.
func (a *account) atCallback(r *http.Request) bool {
	return canonicalHost(r.Host) == a.host || r.URL.RawQuery == movedMark
}

// leadsHere reports whether the browser that sent r finds these pages at the
// redirect URL's origin: where they are public, or, if it is on this machine
// itself (or at the end of a tunnel that hides that it is not), under another
// name of what they listen on. All other redirect URLs may lead to the person's
// own machine, where nobody answers.
func (e *endpoint) leadsHere(a *account, r *http.Request) bool {
	return a.origin == e.public ||
		a.origin == "http://"+a.host && e.listener[a.host] && e.listener[canonicalHost(r.Host)]
}

// moved sends the browser to where the callback will come, if it is not there
// and can be: the cookie of 127.0.0.1 is not sent to localhost.
func (e *endpoint) moved(w http.ResponseWriter, r *http.Request, a *account, status int) bool {
	if a.atCallback(r) || !e.leadsHere(a, r) {
		return false
	}
	http.Redirect(w, r, a.origin+a.path+"?"+movedMark, status)
	return true
}

// byHTTPS reports whether the browser that sent r sees the pages by https,
// whatever a reverse proxy makes of it.
func (e *endpoint) byHTTPS(a *account, r *http.Request) bool {
	origin := e.public
	if a.atCallback(r) && a.origin != "" {
		origin = a.origin
	}
	scheme, host, _ := strings.Cut(origin, "://")
	return scheme == "https" && (canonicalHost(host) == canonicalHost(r.Host) || r.URL.RawQuery == movedMark)
}
