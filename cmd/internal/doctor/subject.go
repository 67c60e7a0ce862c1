package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/proxy"
)

// A Subject is an account to examine, with all that its sessions make use of.
type Subject struct {
	Account  string // the mailbox
	Pattern  string // the account of the configuration that it is of, if that has another name
	Enabled  bool
	Flow     string // how it gets its tokens, as the configuration has it
	Password bool   // it logs in with an app password, and Token returns that
	Remedy   string // how a person authorizes it

	Provider  Provider
	Listeners []Listener // that lead to it
	Upstreams []Upstream // that these lead to, in the same order

	// Secrets are hidden in what is told, beside what Token returns. They should be
	// those of the Upstreams. nil: no others.
	Secrets *redact.Secrets

	// Status tells how the account stands.
	Status func() auth.Status

	// Token returns what the account logs in with, other than stale, which was
	// refused, or is empty.
	Token func(ctx context.Context, stale string) (string, error)

	// LoginEnded is told of each login at an upstream how it ended: nil or the error.
	// It may be nil.
	LoginEnded func(protocol string, err error)

	// Hint tells what to do about an error, or nothing. It may be nil.
	Hint func(error) string

	// Dial connects, and Lookup finds the addresses of a host. If nil, they are
	// those of net.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// A Provider is where the account gets its tokens.
type Provider struct {
	Name  string // in the configuration
	Title string // as people know it; may be empty

	// Proof is the key of the configuration by which the client shows who it is:
	// "client_secret", "client_certificate", "client_assertion_file", or none.
	Proof string

	TokenURL string // empty if no token endpoint is asked
	Scopes   []string
	RootCAs  *x509.CertPool // nil are the system's

	// Proxy says through which proxy a request goes; nil is
	// http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)

	// Through is the proxy that the mail servers are dialled through, by the Dial
	// of each upstream; nil if there is none.
	Through *url.URL
}

// A Listener is a place where mail programs come in.
type Listener struct {
	Protocol string // "imap", "smtp" or "pop3"
	Address  string // host:port, or unix:PATH; empty if only Systemd is known
	Systemd  string // the name of its socket at systemd
	TLS      bool   // from the first octet on

	// Selective says that it greets some clients only: those with a certificate,
	// those that a load balancer passes on, or those of some users of this machine.
	Selective bool
}

// place is where programs connect, as a person is told.
func (l Listener) place() string {
	if l.Address == "" {
		return fmt.Sprintf("the socket %q of systemd", l.Systemd)
	}
	return l.Address
}

// An Upstream is a mail server that the account logs in to.
type Upstream struct {
	*proxy.Upstream
	Protocol string // "imap", "smtp" or "pop3"
	User     string // who the account is there
}

func (s *Subject) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// dialer returns what connects to u.
func (s *Subject) dialer(u Upstream) func(ctx context.Context, network, address string) (net.Conn, error) {
	if u.Dial != nil {
		return u.Dial
	}
	return s.dial
}

func (s *Subject) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if s.Lookup != nil {
		return s.Lookup(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// endpoint is the token endpoint's URL, and the proxy on the way to it, if
// there is one. Both are nil if no endpoint is asked.
func (s *Subject) endpoint() (endpoint, through *url.URL, err error) {
	if s.Password || s.Provider.TokenURL == "" {
		return nil, nil, nil
	}
	request, err := http.NewRequest(http.MethodHead, s.Provider.TokenURL, nil)
	if err != nil {
		return nil, nil, err
	}
	find := s.Provider.Proxy
	if find == nil {
		find = http.ProxyFromEnvironment
	}
	if through, err = find(request); err != nil {
		// Its text has the address, and that may have a password.
		return request.URL, nil, errProxy
	}
	return request.URL, through, nil
}

// nearest is the host of which this machine has to know the address: that of the
// proxy, if there is one, which looks up the other itself.
func nearest(host string, through *url.URL) string {
	if through != nil {
		return through.Hostname()
	}
	return host
}

// shown is the URL of a proxy without user name and password.
func shown(through *url.URL) string { return through.Scheme + "://" + authority(through) }

// authority is u's host:port.
func authority(u *url.URL) string {
	port := cmp.Or(u.Port(), map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme], "80")
	return net.JoinHostPort(u.Hostname(), port)
}

func (s *Subject) hint(err error) string {
	if s.Hint == nil {
		return ""
	}
	return s.Hint(err)
}
