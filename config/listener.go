package config

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
)

// A Listener is an endpoint for mail clients. Without RequireTLS, only this machine can
// reach it.
type Listener struct {
	Endpoint
	Protocol string // one of Protocols
	Provider string // serve only accounts of this provider; empty: of all providers
	Line     int    // in the file

	// TLS is the TLS mode: "none", "starttls", "implicit" (TLS from the first byte), or
	// "auto" for starttls and implicit on the same port.
	TLS        string
	RequireTLS bool           // reject logins without TLS
	MinTLS     uint16         // such as tls.VersionTLS12
	ClientCAs  *x509.CertPool // issuers of client certificates, which are then required; nil: not required

	// Proxies are the load balancers that connect with the PROXY protocol. If it is
	// not empty, no other client may connect.
	Proxies []netip.Prefix

	// ClientTokens lets clients log in with their own access tokens.
	ClientTokens bool
}

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
	e, at := t.endpoint("1143")
	t.addBinding(at)
	l := Listener{
		Endpoint: e,
		Protocol: t.oneOf("protocol", "", Protocols()...),
		Provider: t.providerName(providers),
		Line:     t.pos.line(),
	}
	t.listenerTLS(&l, at)
	if begins := l.TLS != "none" && l.TLS != ""; begins && !certified {
		t.fault("tls", `there is no certificate that clients could be shown: add a table [[certificate]] with its file; "xoauthd make-cert" makes one for this machine`)
	}
	t.checkPort(&l, at)
	t.peerRules(&l, at)
	l.ClientTokens = t.clientTokens(providers[l.Provider])
	return l
}

// listenerTLS reads the TLS mode, and reports faults if passwords could cross a network
// without TLS, or clients could log in without a required certificate.
func (t *table) listenerTLS(l *Listener, at binding) {
	l.MinTLS = t.minTLS()
	l.ClientCAs = t.clientCAs()
	byDefault := at.systemd != "" || !at.isLocal() || t.has("client_ca_file")
	l.RequireTLS = t.boolean("require_tls", byDefault)
	l.TLS = t.oneOf("tls", "", "none", "starttls", "implicit", "auto")
	if !t.has("tls") {
		l.TLS = "none"
	}
	switch l.TLS {
	case "none":
		l.RequireTLS = false
		for _, key := range t.present("require_tls", "min_tls", "client_ca_file") {
			t.fault(key, "means nothing without TLS: say by tls when clients begin it")
		}
		t.requireLocal(&l.Endpoint, at, "address", unencrypted, `use 127.0.0.1, [::1] or localhost, or tls = "implicit", "starttls" or "auto"`)
	case "implicit":
		l.RequireTLS = true
		if t.has("require_tls") {
			t.fault("require_tls", `means nothing with tls = "implicit", where TLS comes before all else`)
		}
	case "starttls", "auto":
		switch {
		case l.RequireTLS:
		case t.has("client_ca_file"):
			t.fault("require_tls", "without TLS, clients could log in without the certificate that client_ca_file asks of them; take one of the two away")
		default:
			t.requireLocal(&l.Endpoint, at, "require_tls", unencrypted, "take this line away")
		}
	}
}

// unencrypted is the harm if other machines reach a listener without TLS.
const unencrypted = "passwords would cross the network unencrypted"

// minTLS reads the minimum TLS version.
func (t *table) minTLS() uint16 {
	versions := map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	s := t.oneOf("min_tls", "1.2", "1.0", "1.1", "1.2", "1.3")
	if versions[s] < tls.VersionTLS12 {
		t.file.warn(t.line("min_tls"), "min_tls: RFC 8996 forbids TLS %s, whose hashes and ciphers are broken: keep this listener for the devices that know nothing newer, in a network that you trust", s)
	}
	return versions[s]
}

// checkPort warns if clients expect another TLS mode on the port. It accepts no TLS on
// the ports of STARTTLS, where it is optional.
func (t *table) checkPort(l *Listener, at binding) {
	for mode, port := range ports[l.Protocol] {
		switch {
		case int(at.port) != port, l.TLS == mode, l.TLS == "auto", l.TLS == "":
		case mode == "starttls" && l.TLS == "none":
		default:
			t.file.warn(t.line("address"), "address: %d is the usual port of %q, but tls is %q: clients that are told the port alone will not get through", port, mode, l.TLS)
		}
	}
}

// peerRules reads which peers may connect.
func (t *table) peerRules(l *Listener, at binding) {
	l.Proxies = t.networks("proxy_protocol")
	for _, n := range l.Proxies {
		if n.Bits() == 0 {
			t.fault("proxy_protocol", "%s is everybody, and each could pretend to come from anywhere; name the load balancers alone", n)
		}
	}
	if slices.ContainsFunc(l.Proxies, includesLoopback) {
		t.file.warn(t.line("proxy_protocol"), "proxy_protocol: an address of this machine is among them, so that each of its users can pretend to come from anywhere: networks of logins, and bounds by address, do not hold for them")
	}
	if t.has("proxy_protocol") && at.socket != "" {
		t.fault("proxy_protocol", "means nothing at a unix socket, where nobody has an address; socket_user, socket_group and socket_mode say who may connect")
	}
	if t.has("local_users") && t.has("proxy_protocol") {
		t.fault("local_users", "means nothing with proxy_protocol, where it is always the load balancer that connects")
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
		t.fault("client_tokens", "needs a provider in this table: its servers alone are to be given the tokens")
	case p != nil && p.Flow == "app_password":
		t.fault("client_tokens", "the servers of the provider %q take no tokens: its flow is %q", p.Name, p.Flow)
	}
	return enabled
}
