package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// clientTLS has the TLS settings of the client of a dialogue.
type clientTLS struct {
	authority   *ca.CA // of the listener's certificate
	trusted     *x509.CertPool
	newest      uint16 // newest version of the client
	name        string // of the server, by SNI
	certificate []tls.Certificate
}

func newClientTLS(authority *ca.CA) *clientTLS {
	return &clientTLS{authority: authority, trusted: authority.Pool(), name: "localhost"}
}

func (c *clientTLS) config() *tls.Config {
	return &tls.Config{
		RootCAs: c.trusted, ServerName: c.name, Certificates: c.certificate,
		MinVersion: tls.VersionTLS10, MaxVersion: c.newest,
	}
}

// listen returns the TLS configuration of a listener. It sends no session tickets, which a
// pipe without a buffer cannot carry while the client does not read.
func (c *clientTLS) listen() (*tls.Config, error) {
	certificate, err := c.authority.Issue("localhost")
	return &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true}, err
}

var tlsModes = map[string]TLSMode{"starttls": StartTLS, "implicit": ImplicitTLS, "auto": AnyTLS}

var tlsVersions = map[string]uint16{
	"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13,
}

// tlsSettings are the settings of a dialogue for the TLS of listener and client.
var tlsSettings = map[string]func(p *player, words []string) error{
	// When the client may begin TLS: starttls, implicit, auto.
	"tls": func(p *player, words []string) (err error) {
		var ok bool
		if p.listener.TLSMode, ok = tlsModes[words[0]]; !ok {
			return errors.New("no such way to begin")
		}
		p.listener.TLS, err = p.tls.listen()
		return err
	},
	"require-tls": func(p *player, _ []string) error {
		p.listener.RequireTLS = true
		return nil
	},
	// The oldest version that the listener accepts, after tls.
	"min-tls": func(p *player, words []string) error {
		p.listener.TLS.MinVersion = tlsVersions[words[0]]
		return nil
	},
	// The listener requires a client certificate, after tls.
	"client-ca": func(p *player, _ []string) error {
		p.listener.TLS.ClientAuth, p.listener.TLS.ClientCAs = tls.RequireAndVerifyClientCert, p.tls.authority.Pool()
		return nil
	},
	// The client certificate: good, expired, or other-authority.
	"client-certificate": func(p *player, words []string) error {
		authority, change := p.tls.authority, func(*x509.Certificate) {}
		switch words[0] {
		case "good":
		case "expired":
			change = ca.Expired
		case "other-authority":
			var err error
			if authority, err = ca.New(); err != nil {
				return err
			}
		default:
			return errors.New("no such certificate")
		}
		certificate, err := authority.IssueWith(func(template *x509.Certificate) {
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			change(template)
		}, "scanner")
		p.tls.certificate = []tls.Certificate{certificate}
		return err
	},
	// The newest version of the client.
	"client-tls": func(p *player, words []string) error {
		p.tls.newest = tlsVersions[words[0]]
		return nil
	},
	"client-distrusts": func(p *player, _ []string) error {
		p.tls.trusted = x509.NewCertPool()
		return nil
	},
	"own-tokens": func(p *player, _ []string) error {
		p.listener.OwnTokens = true
		return nil
	},
	// The load balancers, by their networks.
	"proxies": func(p *player, words []string) error {
		for _, word := range words {
			network, err := netip.ParsePrefix(word)
			if err != nil {
				return err
			}
			p.listener.Proxies = append(p.listener.Proxies, network)
		}
		return nil
	},
}
