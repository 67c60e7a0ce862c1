package config

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// A Listener is an endpoint for mail clients. Without RequireTLS, only this machine can
// reach it.
type Listener struct {
	Endpoint
	Protocol string // one of Protocols
	Provider string // serve only accounts of this provider; empty: of all providers
	Line     int    // in the file

	TLS        TLSMode
	RequireTLS bool           // reject logins without TLS
	MinTLS     uint16         // such as tls.VersionTLS12
	ClientCAs  *x509.CertPool // issuers of client certificates, which are then required; nil: not required

	// Proxies are the load balancers that connect with the PROXY protocol. If it is
	// not empty, no other client may connect.
	Proxies []netip.Prefix

	// ClientTokens lets clients log in with their own access tokens.
	ClientTokens bool

	// Devices are clients that send mail without a login; nil: clients must log in.
	Devices *Devices
}

// Serves reports whether clients can use the account a through the listener.
func (l *Listener) Serves(a *Account) bool {
	if l.Devices != nil {
		return l.Devices.SendsAs(a.Name)
	}
	return l.Provider == "" || l.Provider == a.Provider
}

// OffersTLS reports whether clients can start TLS.
func (l *Listener) OffersTLS() bool { return l.TLS != "" && l.TLS != TLSNone }

// listeners reads the listeners. Modes with TLS require a certificate.
func (t *table) listeners(providers map[string]*Provider) (all []Listener) {
	for _, l := range t.tableList("listener") {
		all = append(all, l.listener(providers, t.has("certificate")))
		l.reportUnknown()
	}
	return all
}

func (t *table) listener(providers map[string]*Provider, certified bool) Listener {
	t.require("protocol", `write protocol = "imap", "smtp" or "pop3"`)
	e, b := t.endpoint("1143")
	t.addBinding(b)
	l := Listener{
		Endpoint: e,
		Protocol: oneOf(t, "protocol", "", Protocols()...),
		Provider: t.providerName(providers),
		Line:     t.pos.line(),
	}
	l.Devices = t.devices(&l)
	t.listenerTLS(&l, b)
	if l.OffersTLS() && !certified {
		t.fault("tls", `TLS requires a certificate; add a table [[certificate]] with its file; "xoauthd make-cert" creates one for this machine`)
	}
	t.checkPort(&l, b)
	t.readPeers(&l, b)
	l.ClientTokens = t.clientTokens(providers[l.Provider])
	return l
}

// listenerTLS reads the TLS mode, and reports faults if passwords could cross a network
// without TLS, or clients could log in without a required certificate.
func (t *table) listenerTLS(l *Listener, b binding) {
	l.MinTLS = t.minTLS()
	l.ClientCAs = t.clientCAs()
	byDefault := l.Devices == nil && (b.systemd != "" || !b.isLocal()) || t.has("client_ca_file")
	l.RequireTLS = t.boolean("require_tls", byDefault)
	l.TLS = oneOf(t, "tls", "", TLSNone, TLSStartTLS, TLSImplicit, TLSAuto)
	if !t.has("tls") {
		l.TLS = TLSNone
	}
	switch l.TLS {
	case TLSNone:
		l.RequireTLS = false
		for _, key := range t.present("require_tls", "min_tls", "client_ca_file") {
			t.fault(key, `is not used without TLS; set tls to "implicit", "starttls" or "auto"`)
		}
		if l.Devices != nil {
			return // no password crosses the network
		}
		t.requireLocal(&l.Endpoint, b, "address", unencrypted, `use 127.0.0.1, [::1] or localhost, or tls = "implicit", "starttls" or "auto"`)
	case TLSImplicit:
		l.RequireTLS = true
		if t.has("require_tls") {
			t.fault("require_tls", `is not used with tls = "implicit", which always requires TLS`)
		}
	case TLSStartTLS, TLSAuto:
		switch {
		case l.RequireTLS || l.Devices != nil && !t.has("client_ca_file"):
		case t.has("client_ca_file"):
			t.fault("require_tls", "without TLS, clients could log in without the certificate that client_ca_file requires; remove one of the two keys")
		default:
			t.requireLocal(&l.Endpoint, b, "require_tls", unencrypted, "remove this line")
		}
	}
}

// unencrypted is the harm if other machines reach a listener without TLS.
const unencrypted = "passwords would cross the network unencrypted"

// minTLS reads the minimum TLS version.
func (t *table) minTLS() uint16 {
	versions := map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	s := oneOf(t, "min_tls", "1.2", "1.0", "1.1", "1.2", "1.3")
	if versions[s] < tls.VersionTLS12 {
		t.file.warn(t.line("min_tls"), "min_tls: RFC 8996 forbids TLS %s, because its hashes and ciphers are broken; use this listener only for devices without a newer version, in a trusted network", s)
	}
	return versions[s]
}

// checkPort warns if clients expect another TLS mode on the port. It accepts no TLS on
// the ports of STARTTLS, where it is optional.
func (t *table) checkPort(l *Listener, b binding) {
	for mode, port := range ports[l.Protocol] {
		switch {
		case int(b.port) != port, l.TLS == mode, l.TLS == TLSAuto, l.TLS == "":
		case mode == TLSStartTLS && l.TLS == TLSNone:
		default:
			t.file.warn(t.line("address"), "address: %d is the usual port of %q, but tls is %q; clients that choose the TLS mode by the port cannot connect", port, mode, l.TLS)
		}
	}
}

// readPeers reads which peers may connect.
func (t *table) readPeers(l *Listener, b binding) {
	l.Proxies = t.networks("proxy_protocol")
	for _, n := range l.Proxies {
		if n.Bits() == 0 {
			t.fault("proxy_protocol", "%s contains all addresses, so every client could forge its address; list only the load balancers", n)
		}
	}
	if slices.ContainsFunc(l.Proxies, includesLoopback) {
		t.file.warn(t.line("proxy_protocol"), "proxy_protocol: contains a loopback address, so local users can forge their address, and evade the networks of logins and the limits per address")
	}
	if t.has("proxy_protocol") && b.socket != "" {
		t.fault("proxy_protocol", "is not used with a unix socket, whose clients have no address; control access with socket_user, socket_group and socket_mode")
	}
	if t.has("local_users") && t.has("proxy_protocol") {
		t.fault("local_users", "is not used with proxy_protocol, because only the load balancer connects")
	}
}

// includesLoopback reports whether n contains loopback addresses, but not all addresses.
func includesLoopback(n netip.Prefix) bool {
	four := netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)
	return n.Bits() > 0 && (n.Overlaps(four) || n.Contains(netip.IPv6Loopback()))
}

// clientTokens reads whether clients may log in with their own tokens. Those are for one
// provider, and the servers of other providers must not receive them.
func (t *table) clientTokens(p *Provider) bool {
	enabled := t.boolean("client_tokens", false)
	switch {
	case !enabled:
	case !t.has("provider"):
		t.fault("client_tokens", "requires a provider in this table, because only its servers may receive the tokens")
	case p != nil && p.SMTPAPI != nil && t.values["protocol"] == "smtp":
		t.fault("client_tokens", "is not used with the smtp_api of the provider %q, which takes the tokens of accounts only", p.Name)
	case p != nil && p.Flow == flow.AppPassword:
		t.fault("client_tokens", "the servers of the provider %q accept no tokens: its flow is %q", p.Name, p.Flow)
	}
	return enabled
}
