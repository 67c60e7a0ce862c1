// Package dial connects to mail servers through an outbound proxy.
package dial

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// Through returns a dial function that connects through the outbound proxy at via: by
// SOCKS5 (RFC 1928 and 1929), or by CONNECT of HTTP (RFC 9110 section 9.3.6). For the
// scheme https, the connection to the proxy uses TLS, and its certificate is verified with
// roots; nil is the roots of the system. The proxy resolves the names of servers. Errors
// have a method Hint, and do not contain the password of via.
func Through(via *url.URL, roots *x509.CertPool) (func(ctx context.Context, network, address string) (net.Conn, error), error) {
	o := &outbound{}
	var port string
	switch via.Scheme {
	case "socks5":
		o.name, port, o.tunnel = "SOCKS5", "1080", o.socks
	case "http":
		o.name, port, o.tunnel = "HTTP", "80", o.connect
	case "https":
		o.name, port, o.tunnel = "HTTPS", "443", o.connectSecurely
		o.tls = &tls.Config{ServerName: via.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12}
	default:
		return nil, errors.New("the scheme of an outbound proxy is not socks5://, http:// or https://")
	}
	o.address = net.JoinHostPort(via.Hostname(), cmp.Or(via.Port(), port))
	o.name += " proxy " + o.address
	o.user = via.User
	return o.dial, nil
}

// An outbound is an outbound proxy.
type outbound struct {
	name    string // "SOCKS5 proxy 192.0.2.1:1080"
	address string
	user    *url.Userinfo // nil if the proxy needs no login
	tls     *tls.Config   // for the connection to the proxy

	// tunnel makes the proxy connect c to address, and returns the connection to use. It
	// returns an error when c is closed.
	tunnel func(c net.Conn, address string) (net.Conn, error)
}

// dial returns an unwrapped TCP connection if it can: a relay uses less memory with one.
func (o *outbound) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{KeepAliveConfig: wire.KeepAlive}).DialContext(ctx, network, o.address)
	if err != nil {
		return nil, &proxyError{o.name, err, hintNoProxy}
	}
	stop := wire.CloseWhenDone(ctx, c)
	tunneled, err := o.tunnel(c, address)
	if !stop() { // err is only about the closed connection
		err = context.Cause(ctx)
	}
	if err == nil {
		return tunneled, nil
	}
	c.Close()
	var e *proxyError
	if !errors.As(err, &e) {
		e = &proxyError{err: err, hint: hintSilentProxy}
	}
	e.proxy = o.name
	return nil, e
}

// A proxyError is an error of a connection through an outbound proxy.
type proxyError struct {
	proxy string
	err   error
	hint  string
}

func (e *proxyError) Error() string { return e.proxy + ": " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }
func (e *proxyError) Hint() string  { return e.hint }

// Hints for errors that do not name their cause.
const (
	hintNoProxy     = "The proxy cannot be reached from this machine: check proxy in the provider's section of the configuration, and whether it runs there."
	hintSilentProxy = "This does not answer as a proxy of its kind: check whether proxy in the provider's section begins with the right one of http://, https:// and socks5://."
	hintProxyTLS    = "https:// is for a proxy that is itself spoken to by TLS; most want http://. If its certificate is of an authority of your own, make ca_file that authority's."
	hintSOCKS       = "The proxy leads no further: check user name and password in proxy, and whether it is allowed, and able, to connect to the mail server."
)
