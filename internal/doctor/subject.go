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
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/proxy"
)

// A Subject is the account to check, with everything that its sessions use.
type Subject struct {
	Account string // the mailbox
	Pattern string // pattern that the account is a mailbox of; empty if none
	Enabled bool
	Flow    flow.Flow // flow of the provider
	Remedy  string    // how to authorize the account

	Provider  Provider
	Listeners []Listener // listeners that serve the account
	Upstreams []Upstream // mail servers of the account
	API       *SendAPI   // sends in place of an SMTP server; nil if none does

	// Send sends a test message to SendTo, and returns the reply. It is not called if SendTo
	// is empty.
	SendTo string
	Send   func(ctx context.Context, to string) (reply string, err error)

	// Secrets are hidden in the steps, in addition to what Token returns. They should be
	// those of the Upstreams. nil is an empty set.
	Secrets *redact.Secrets

	// Status returns the state of the account.
	Status func() auth.Status

	// Token returns an access token, or the app password, other than stale, which is a
	// refused one or empty.
	Token func(ctx context.Context, stale string) (string, error)

	// LoginEnded is called after each login at an upstream, with nil or its error. It may
	// be nil.
	LoginEnded func(protocol string, err error)

	// Hint returns the remedy for an error, or "". It may be nil.
	Hint func(error) string

	// Dial connects, and Lookup resolves a host name. nil is those of package net.
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// A Provider is what a check needs of the account's provider.
type Provider struct {
	Name  string // in the configuration
	Title string // name for people; may be empty

	// Proof is the configuration key that authenticates the client:
	// "client_secret", "client_certificate", "client_assertion_file", or none.
	Proof string

	TokenURL string // empty if there is no token endpoint
	Scopes   []string
	RootCAs  *x509.CertPool // nil are the system's

	// Proxy returns the proxy for a token request; nil is http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)

	// Through is the proxy for connections to mail servers, which the Dial of each upstream
	// uses; nil if there is none.
	Through *url.URL
}

// A Listener is an address that mail programs connect to.
type Listener struct {
	Protocol string // "imap", "smtp" or "pop3"
	Address  string // host:port, or unix:PATH; empty if only Systemd is known
	Systemd  string // the name of its socket at systemd
	TLS      bool   // implicit TLS

	// Selective is true if it accepts some clients only: those with a certificate, of a
	// load balancer, or of some users of this machine.
	Selective bool
}

// place returns the address for people.
func (l Listener) place() string {
	if l.Address == "" {
		return fmt.Sprintf("the socket %q of systemd", l.Systemd)
	}
	return l.Address
}

// A SendAPI is the provider's HTTP API for sending.
type SendAPI struct {
	Title string // name for people
	URL   string // base URL

	// Permission is what Entra calls the right to send; the zero value is not checked.
	Permission string

	// Token returns an access token for it.
	Token func(ctx context.Context) (string, error)
}

// An Upstream is a mail server that the account logs in to.
type Upstream struct {
	*proxy.Upstream
	Protocol string // "imap", "smtp" or "pop3"
	User     string // user name there
}

func (s *Subject) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// dialer returns the dial function for u, which may use a proxy.
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

// endpoint returns the URL of the token endpoint, and the proxy to it or nil. Both are
// nil if there is no token endpoint.
func (s *Subject) endpoint() (endpoint, through *url.URL, err error) {
	if s.usesPassword() || s.Provider.TokenURL == "" {
		return nil, nil, nil
	}
	return s.through(s.Provider.TokenURL)
}

// through returns a URL, and the proxy to it or nil.
func (s *Subject) through(address string) (endpoint, through *url.URL, err error) {
	request, err := http.NewRequest(http.MethodHead, address, nil)
	if err != nil {
		return nil, nil, err
	}
	find := s.Provider.Proxy
	if find == nil {
		find = http.ProxyFromEnvironment
	}
	if through, err = find(request); err != nil {
		// The text of err contains the URL, which may contain a password.
		return request.URL, nil, errProxy
	}
	return request.URL, through, nil
}

// nearest returns the host name that this machine must resolve: that of the proxy, if
// there is one. The proxy resolves the other.
func nearest(host string, through *url.URL) string {
	if through != nil {
		return through.Hostname()
	}
	return host
}

// shown returns the URL of a proxy without user name and password.
func shown(through *url.URL) string { return through.Scheme + "://" + authority(through) }

// authority returns host:port of u.
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

// usesPassword reports whether the account has an app password, which Token returns.
func (s *Subject) usesPassword() bool { return s.Flow == flow.AppPassword }
