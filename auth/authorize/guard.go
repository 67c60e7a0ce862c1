package authorize

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// maxBody is how much of a request's body is read, in bytes: an address with the
// provider's answer, every character of which may have become three.
const maxBody = 16 << 10

// policy is the Content-Security-Policy of all pages, but for form-action.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action "

// guard lets through to mux what comes from this endpoint's own pages, and
// answers the rest in words. The headers are on every answer.
func (e *endpoint) guard(mux *http.ServeMux) http.Handler {
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy+"'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")

		_, pattern := mux.Handler(r)
		switch {
		case !e.hosts[canonicalHost(r.Host)] && pattern != "GET "+e.base+stylePath: // the answer needs it too
			e.message(w, http.StatusMisdirectedRequest, notThisHost(r.Host))
		case e.cross.Check(r) != nil:
			e.message(w, http.StatusForbidden, fromElsewhere)
		case pattern == "":
			e.unrouted(w, r, mux)
		default:
			mux.ServeHTTP(w, r)
		}
	})
	return http.MaxBytesHandler(guarded, maxBody)
}

// unrouted answers a request that mux has no page for: 404 or 405, whichever
// mux says.
func (e *endpoint) unrouted(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	verdict := &statusWriter{header: w.Header(), status: http.StatusOK}
	mux.ServeHTTP(verdict, r)
	if verdict.status == http.StatusMethodNotAllowed {
		e.message(w, verdict.status, methodNotAllowed)
		return
	}
	e.message(w, http.StatusNotFound, notFound)
}

// A statusWriter keeps the status and the header of an answer, not its body.
type statusWriter struct {
	header http.Header
	status int
}

func (s *statusWriter) Header() http.Header         { return s.header }
func (s *statusWriter) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusWriter) WriteHeader(status int)      { s.status = status }

// allowListener lets browsers use the address that the endpoint listens on, by
// any name of this machine that an attacker's DNS cannot take.
func (e *endpoint) allowListener(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("listen address: %w", err)
	}
	for _, h := range []string{host, "localhost", "127.0.0.1", "::1"} {
		name := canonicalHost(net.JoinHostPort(h, port))
		e.listener[name], e.hosts[name] = true, true
	}
	return nil
}

// allowPublic lets browsers use the public URL, and puts its path before every
// page's.
func (e *endpoint) allowPublic(public string) error {
	u, err := webURL(public)
	if err != nil {
		return err
	}
	e.base = strings.TrimRight(u.EscapedPath(), "/")
	e.public = originOf(u)
	e.hosts[canonicalHost(u.Host)] = true
	// A reverse proxy may pass on another Host than the browser's.
	return e.cross.AddTrustedOrigin(e.public)
}

// originOf is the origin of u (RFC 6454 section 6.2), without the default port.
func originOf(u *url.URL) string {
	host, port := strings.ToLower(u.Host), ":80"
	if u.Scheme == "https" {
		port = ":443"
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, port)
}

// canonicalHost is host, or host:port, as it is compared: names have no case,
// and browsers leave out the default port.
func canonicalHost(hostport string) string {
	h := strings.ToLower(hostport)
	for _, port := range []string{":80", ":443"} {
		if bare, ok := strings.CutSuffix(h, port); ok {
			return bare
		}
	}
	return h
}
