package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/internal/expiry"
	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/text"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// shownAddresses limits the addresses of a host in the text.
const shownAddresses = 3

// remedyName is the remedy for a host name that has no address.
const remedyName = "Check this name where it is configured, the servers in /etc/resolv.conf, and whether this machine has a network."

// names resolves all host names, and returns those that could not be resolved.
func (x *examination) names(ctx context.Context) (unknown map[string]bool) {
	var hosts []string
	if endpoint, through, err := x.endpoint(); err == nil && endpoint != nil {
		hosts = append(hosts, nearest(endpoint.Hostname(), through))
	}
	for _, u := range x.Upstreams {
		hosts = append(hosts, nearest(u.Host, x.Provider.Through))
	}
	unknown = make(map[string]bool)
	for i, host := range hosts {
		if _, err := netip.ParseAddr(host); err == nil || slices.Contains(hosts[:i], host) {
			continue
		}
		unknown[host] = !x.step(ctx, "DNS of "+host, lookupTime, func(ctx context.Context, s *step.Step) error {
			err := x.name(ctx, host, s)
			if err != nil {
				s.Remedy = remedyName
			}
			return err
		})
	}
	return unknown
}

func (x *examination) name(ctx context.Context, host string, s *step.Step) error {
	found, err := x.lookup(ctx, host)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	case err != nil:
		return err
	case len(found) == 0:
		return &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	var addresses []string
	for _, a := range found {
		addresses = append(addresses, a.Unmap().String())
	}
	s.AddFact("addresses", addresses)
	shown := addresses[:min(shownAddresses, len(addresses))]
	s.Detail = strings.Join(shown, ", ")
	if more := len(addresses) - len(shown); more > 0 {
		s.Detail += fmt.Sprintf(" and %d more", more)
	}
	return nil
}

// connections connects to every mail server. A returned link without a client has no
// connection.
func (x *examination) connections(ctx context.Context, unknown map[string]bool) []*link {
	var links []*link
	for _, u := range x.Upstreams {
		k := &link{Upstream: u}
		links = append(links, k)
		name := "connection to " + u.Address()
		if unknown[nearest(u.Host, x.Provider.Through)] {
			x.skip(name, "its address is not known")
			x.ended(ctx, u.Protocol, proxy.Fail(proxy.UpstreamDown, fmt.Errorf("the address of %s is not known", u.Host)))
			continue
		}
		var err error
		x.step(ctx, name, connectTime, func(ctx context.Context, s *step.Step) error {
			if through := x.Provider.Through; through != nil {
				s.Detail = "through " + shown(through)
				s.AddFact("proxy", shown(through))
			}
			err = k.open(ctx, x.dialer(u), s)
			return err
		})
		if err != nil {
			x.ended(ctx, u.Protocol, err)
		}
	}
	return links
}

// tokenEndpoint sends a HEAD request to the token endpoint, by the route of a refresh.
func (x *examination) tokenEndpoint(ctx context.Context, unknown map[string]bool) {
	endpoint, through, err := x.endpoint()
	if endpoint == nil && err == nil {
		return
	}
	name := "token endpoint"
	if endpoint != nil {
		name += " at " + authority(endpoint)
		if unknown[nearest(endpoint.Hostname(), through)] {
			x.skip(name, "its address is not known")
			return
		}
	}
	x.step(ctx, name, connectTime, func(ctx context.Context, s *step.Step) error {
		if err != nil {
			s.Remedy = "Check token_url, and HTTPS_PROXY in the environment of the daemon."
			return err
		}
		err := x.head(ctx, endpoint, through, s)
		if err != nil && unverified(err) == nil {
			s.Remedy = "Check token_url, and whether a firewall or a proxy (HTTPS_PROXY, or proxy in the provider's section) is in the way."
		}
		return err
	})
}

// head sends a HEAD request, through a proxy if that is not nil.
func (x *examination) head(ctx context.Context, endpoint, through *url.URL, s *step.Step) error {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		s.AddFact("address", c.Conn.RemoteAddr().String())
		s.Detail = c.Conn.RemoteAddr().String()
	}})
	transport := &http.Transport{
		Proxy:                  http.ProxyURL(through),
		DialContext:            x.dial,
		TLSClientConfig:        &tls.Config{RootCAs: x.Provider.RootCAs, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	defer transport.CloseIdleConnections()
	if through != nil {
		s.AddFact("proxy", shown(through))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, endpoint.String(), nil)
	if err != nil {
		return err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		describeCertificate(s, unverified(err))
		return partError(ctx, "HTTP", err)
	}
	answer.Body.Close()
	if through != nil {
		s.Detail = step.Join(s.Detail, " ", "through "+shown(through))
	}
	describeTLS(s, answer.TLS)
	return nil
}

// describeTLS adds TLS version and certificate to the step, and warns of a certificate
// that expires soon. The state may be nil.
func describeTLS(s *step.Step, state *tls.ConnectionState) {
	if state == nil {
		s.Detail = step.Join(s.Detail, ", ", "no TLS")
		return
	}
	s.Detail = step.Join(s.Detail, ", ", tls.VersionName(state.Version))
	s.AddFact("tls_version", tls.VersionName(state.Version))
	s.AddFact("cipher", tls.CipherSuiteName(state.CipherSuite))
	s.AddFact("alpn", state.NegotiatedProtocol)
	c := state.PeerCertificates[0] // verified, so it is there
	describeCertificate(s, c)
	s.Detail += "; certificate of " + nameOr(c.Subject.CommonName, c.DNSNames) + " by " + nameOr(c.Issuer.CommonName, c.Issuer.Organization)
	life := time.Until(c.NotAfter)
	s.Detail += ", valid for " + text.Span(life)
	if expiry.CertificateSoon(c, time.Now()) {
		s.AddFinding(step.Warning, fmt.Sprintf("the server's certificate expires in %s, on %s", text.Span(life), c.NotAfter.UTC().Format(time.DateOnly)),
			"The operator of the server must renew it before.")
	}
}

func describeCertificate(s *step.Step, c *x509.Certificate) {
	if c != nil {
		s.AddFact("subject", nameOr(c.Subject.String(), c.DNSNames))
		s.AddFact("issuer", c.Issuer.String())
		s.AddFact("not_after", c.NotAfter)
	}
}

// unverified returns the certificate that could not be verified, or nil.
func unverified(err error) *x509.Certificate {
	var e *tls.CertificateVerificationError
	if errors.As(err, &e) && len(e.UnverifiedCertificates) > 0 {
		return e.UnverifiedCertificates[0]
	}
	return nil
}

// nameOr returns name, or the first of others if it is empty: a certificate need not have
// a common name.
func nameOr(name string, others []string) string {
	if name == "" && len(others) > 0 {
		return others[0]
	}
	return name
}

// listeners tests whether xoauthd greets mail programs.
func (x *examination) listeners(ctx context.Context) {
	for _, l := range x.Listeners {
		name := strings.ToUpper(l.Protocol) + " listener at " + l.place()
		if l.Address == "" {
			x.skip(name, "no daemon runs that knows its address")
			continue
		}
		x.step(ctx, name, listenerTime, func(ctx context.Context, s *step.Step) error {
			err := x.listener(ctx, l, s)
			if err != nil {
				s.Remedy = "Check that the daemon runs, with the configuration as it is now, and what its log says."
			}
			return err
		})
	}
}

func (x *examination) listener(ctx context.Context, l Listener, s *step.Step) error {
	network, address := "tcp", l.Address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	conn, err := x.dial(ctx, network, address)
	if err != nil {
		return err
	}
	defer wire.CloseWhenDone(ctx, conn)()
	defer conn.Close()
	if l.Selective {
		s.Detail = "accepts connections, from some clients only"
		return nil
	}
	conn = bounded(conn)
	if l.TLS {
		// Whether clients trust the certificate cannot be known here.
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			return partError(ctx, "TLS", err)
		}
		state := secure.ConnectionState()
		conn = secure
		describeTLS(s, &state)
	}
	greeting, err := bufio.NewReaderSize(conn, 1<<10).ReadSlice('\n')
	if err != nil {
		return partError(ctx, "greeting", err)
	}
	if text := string(greeting); !strings.HasPrefix(text, "* OK") && !strings.HasPrefix(text, "220") && !strings.HasPrefix(text, "+OK") {
		return errors.New("greeting: " + text)
	}
	s.Detail = step.Join("it greets", ", ", s.Detail)
	return nil
}
