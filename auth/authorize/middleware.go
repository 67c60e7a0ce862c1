package authorize

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/xoauthd/xoauthd/internal/pagepath"
)

// maxBody limits the body of a request, in bytes. A body holds an address with the
// provider's answer, in which escaping may triple the length.
const maxBody = 16 << 10

// policy is the Content-Security-Policy of all pages, without the value of form-action.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action "

// protect returns a handler that sets the security headers and passes a request to mux
// only if its Host header is allowed and it does not come from another site. It limits
// the body of all requests.
func (e *endpoint) protect(mux *http.ServeMux) http.Handler {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy+"'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")

		_, pattern := mux.Handler(r)
		switch {
		case !e.hosts[canonicalHost(r.Host)] && pattern != "GET "+e.base+pagepath.Style: // the error page uses the style sheet
			e.message(w, http.StatusMisdirectedRequest, unknownHost(r.Host))
		case e.cross.Check(r) != nil:
			e.message(w, http.StatusForbidden, crossOrigin)
		case pattern == "":
			e.noRoute(w, r, mux)
		default:
			mux.ServeHTTP(w, r)
		}
	})
	return http.MaxBytesHandler(handler, maxBody)
}

// noRoute answers a request for which mux has no handler. The status is that of mux, 404
// or 405.
func (e *endpoint) noRoute(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	recorder := &statusWriter{header: w.Header(), status: http.StatusOK}
	mux.ServeHTTP(recorder, r)
	if recorder.status == http.StatusMethodNotAllowed {
		e.message(w, recorder.status, methodNotAllowed)
		return
	}
	e.message(w, http.StatusNotFound, notFound)
}

// A statusWriter records the status and sets the header of a reply. It drops the body.
type statusWriter struct {
	header http.Header
	status int
}

func (s *statusWriter) Header() http.Header         { return s.header }
func (s *statusWriter) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusWriter) WriteHeader(status int)      { s.status = status }

// allowListener allows the listen address and the loopback names with its port as Host
// headers. It allows no other names, because an attacker could point them to this
// machine (DNS rebinding).
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

// allowPublic allows the host of the public URL as Host header, and sets the prefix of
// all paths.
func (e *endpoint) allowPublic(public string) error {
	u, err := webURL(public)
	if err != nil {
		return err
	}
	e.base = strings.TrimRight(u.EscapedPath(), "/")
	e.public = originOf(u)
	e.hosts[canonicalHost(u.Host)] = true
	// A reverse proxy may change the Host header.
	return e.cross.AddTrustedOrigin(e.public)
}

// originOf returns the origin of u (RFC 6454 section 6.2) without the default port.
func originOf(u *url.URL) string {
	host, port := strings.ToLower(u.Host), ":80"
	if u.Scheme == "https" {
		port = ":443"
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, port)
}

// canonicalHost returns host or host:port in lower case and without the default port, as
// browsers send it.
func canonicalHost(hostport string) string {
	h := strings.ToLower(hostport)
	for _, port := range []string{":80", ":443"} {
		if bare, ok := strings.CutSuffix(h, port); ok {
			return bare
		}
	}
	return h
}
