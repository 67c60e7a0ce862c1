package proxy

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	socks "golang.org/x/net/proxy"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// Through returns a Dial of an Upstream that goes through the outbound proxy at
// via: by SOCKS5 (RFC 1928 and 1929), or by CONNECT of HTTP (RFC 9110 section
// 9.3.6), with TLS to the proxy itself if the scheme is https; its certificate is
// then to be from roots, or from the system's if that is nil. It is the proxy that
// looks up the names of servers. Errors have a Hint, and none shows the password
// in via.
func Through(via *url.URL, roots *x509.CertPool) (func(ctx context.Context, network, address string) (net.Conn, error), error) {
	o := &outbound{}
	var port string
	switch via.Scheme {
	case "socks5":
		o.name, port, o.lead = "SOCKS5", "1080", o.socks
	case "http":
		o.name, port, o.lead = "HTTP", "80", o.connect
	case "https":
		o.name, port, o.lead = "HTTPS", "443", o.connectSecurely
		o.tls = &tls.Config{ServerName: via.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12}
	default:
		return nil, errors.New("the proxy is none of socks5://, http:// and https://")
	}
	o.address = net.JoinHostPort(via.Hostname(), cmp.Or(via.Port(), port))
	o.name += " proxy " + o.address
	o.user = via.User
	return o.dial, nil
}

// An outbound is a proxy on the way to mail servers.
type outbound struct {
	name    string // what it is, and where
	address string
	user    *url.Userinfo // may be nil
	tls     *tls.Config   // to the proxy itself

	// lead makes of a connection to the proxy one to a server. It ends when c is
	// closed.
	lead func(c net.Conn, address string) (net.Conn, error)
}

// dial leaves a TCP connection what it is: a relay can do more with one.
func (o *outbound) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{KeepAliveConfig: wire.KeepAlive}).DialContext(ctx, network, o.address)
	if err != nil {
		return nil, &proxyError{o.name, err, hintNoProxy}
	}
	stop := closeWith(ctx, c)
	led, err := o.lead(c, address)
	if !stop() { // the connection was closed, and that is what err is of
		err = context.Cause(ctx)
	}
	if err == nil {
		return led, nil
	}
	c.Close()
	var e *proxyError
	if !errors.As(err, &e) {
		e = &proxyError{err: err, hint: hintSilentProxy}
	}
	e.proxy = o.name
	return nil, e
}

func (o *outbound) socks(c net.Conn, address string) (net.Conn, error) {
	var auth *socks.Auth
	if o.user != nil {
		password, _ := o.user.Password()
		auth = &socks.Auth{User: o.user.Username(), Password: password}
	}
	d, err := socks.SOCKS5("tcp", o.address, auth, nil)
	if err != nil {
		return nil, err
	}
	over, ok := d.(interface {
		DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return nil, errors.New("the library of SOCKS5 cannot use a connection")
	}
	_, err = over.DialWithConn(context.Background(), c, "tcp", address)
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err // the rest is said already
	}
	if err != nil {
		return nil, &proxyError{err: err, hint: hintSOCKS}
	}
	return c, nil
}

func (o *outbound) connectSecurely(c net.Conn, address string) (net.Conn, error) {
	secure := tls.Client(c, o.tls)
	if err := secure.Handshake(); err != nil {
		return nil, &proxyError{err: fmt.Errorf("TLS: %w", err), hint: hintProxyTLS}
	}
	return o.connect(secure, address)
}

// maxProxyAnswer is what a proxy may say before it connects, in octets.
const maxProxyAnswer = 16 << 10

func (o *outbound) connect(c net.Conn, address string) (net.Conn, error) {
	request := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: address},
		Host:   address,
		Header: http.Header{"User-Agent": {"xoauthd"}},
	}
	if o.user != nil {
		password, _ := o.user.Password()
		request.Header.Set("Proxy-Authorization",
			"Basic "+base64.StdEncoding.EncodeToString([]byte(o.user.Username()+":"+password)))
	}
	if err := request.Write(c); err != nil {
		return nil, err
	}
	r := bufio.NewReader(io.LimitReader(sipped{c}, maxProxyAnswer))
	answer, err := http.ReadResponse(r, request)
	for err == nil && answer.StatusCode < 200 && answer.StatusCode != http.StatusSwitchingProtocols {
		answer, err = http.ReadResponse(r, request) // that was not the last (RFC 9110 section 15.2)
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("no whole answer to CONNECT")
	case err != nil:
		return nil, fmt.Errorf("answer to CONNECT: %w", err)
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		// The proxy's own words may be anything: what it was sent, for one.
		status := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
		return nil, &proxyError{err: errors.New(status), hint: connectHint(answer.StatusCode)}
	}
	return c, nil
}

// A sipped reader gives one octet at a time, so that nobody reads ahead: what
// comes behind the answer of a proxy is for others.
type sipped struct{ io.Reader }

func (s sipped) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), 1)]) }

// A proxyError is why an outbound proxy did not connect.
type proxyError struct {
	proxy string
	err   error
	hint  string
}

func (e *proxyError) Error() string { return e.proxy + ": " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }
func (e *proxyError) Hint() string  { return e.hint }

// What to do about an outbound proxy, where only the way is known on which it
// fails.
const (
	hintNoProxy     = "The proxy cannot be reached from this machine: check proxy in the provider's section of the configuration, and whether it runs there."
	hintSilentProxy = "This does not answer as a proxy of its kind: check whether proxy in the provider's section begins with the right one of http://, https:// and socks5://."
	hintProxyTLS    = "https:// is for a proxy that is itself spoken to by TLS; most want http://. If its certificate is of an authority of your own, make ca_file that authority's."
	hintSOCKS       = "The proxy leads no further: check user name and password in proxy, and whether it is allowed, and able, to connect to the mail server."
)

// connectHint tells what an answer to CONNECT means for mail (RFC 9110 section
// 15).
func connectHint(status int) string {
	switch status {
	case http.StatusProxyAuthRequired, http.StatusUnauthorized:
		return "The proxy wants a user name and password, or others: put them into proxy in the provider's section, as http://user:password@host:port."
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return "The proxy does not connect to this server, or to no port but 443: whoever runs it has to allow CONNECT to the port of the mail server."
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "The proxy cannot reach the mail server: check host and port in the provider's section, and the log of the proxy."
	}
	return hintSilentProxy
}
