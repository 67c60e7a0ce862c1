package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/internal/exhausted"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// Hint returns the likely cause of err and its remedy, in one to three sentences, or "". It
// knows the errors of sessions, CheckReachable and CheckLogin as far as they concern an
// upstream, errors with a method Hint, and those of go-imap and go-smtp. Types and codes
// decide; words do if a server sends neither.
func Hint(err error) string {
	var e *Error
	var network *net.OpError
	var mechanism *sasl.NotOffered
	var own interface{ Hint() string } // of a token source or an outbound proxy
	if hint := exhausted.Hint(err); hint != "" {
		return hint
	}
	switch {
	case errors.As(err, &own):
		return own.Hint()
	case errors.As(err, &mechanism):
		return mechanismHint(mechanism)
	case errors.As(err, &e) && e.Result != UpstreamDown && e.Result != UpstreamRefused:
		return "" // it concerns the client or the provider
	case e != nil && e.reply != "":
		return e.hint
	case errors.As(err, &network) && network.Op == "dial":
		return dialHint(err)
	case e != nil && e.hint != "" && errors.Is(err, os.ErrDeadlineExceeded):
		return e.hint
	}
	if r, ok := parseReply(err, false); e == nil && ok {
		return responseHint(nil, r.reply, false)
	}
	return tlsHint(err)
}

// errorHint returns the hint for a reply of u or, if there is none, for a timeout.
func (u *Upstream) errorHint(result Result, reply string) string {
	switch {
	case reply != "":
		return responseHint(u, reply, result == UpstreamRefused)
	case u.STARTTLS:
		return `The server did not answer in time. A server with implicit TLS does not answer without TLS: if the failure stays, set tls = "implicit" for this server, or check its port.`
	}
	return ""
}

func dialHint(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "The name of the server does not resolve: check host in the provider's section of the configuration, and the DNS of this machine."
	}
	return "The server cannot be reached from this machine: check host and port, and whether a firewall blocks outgoing mail."
}

func tlsHint(err error) string {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case isOldTLS(err):
		return "The server and xoauthd have no TLS version or no cipher suite in common: xoauthd requires TLS 1.2 with ECDHE, or newer. Update the TLS of the server. If the server has only RSA key exchange, GODEBUG=tlsrsakex=1 in the environment of xoauthd allows that until then."
	case errors.As(err, &record):
		return `The server does not start with TLS: set tls = "starttls" for this server, or check its port.`
	case errors.As(err, &name):
		return "The certificate is for another server: check host in the provider's section of the configuration."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "The certificate is not valid at this time: check the clock of this machine. If the clock is right, the operator must renew the certificate."
	case errors.As(err, &certificate):
		return "This machine does not trust the authority of the certificate: check host, or set ca_file to the certificate of that authority."
	}
	return ""
}

// The alerts with which a server ends a handshake without a common version or cipher suite
// (RFC 8446 section 6.2): handshake_failure, protocol_version and insufficient_security.
var noCommonTLS = []tls.AlertError{40, 70, 71}

// isOldTLS reports whether a handshake has failed without a common version or cipher suite.
// The errors of crypto/tls have no types for this, so their words decide. Only a hint depends
// on them, and a test checks them with the current version of Go.
func isOldTLS(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return slices.ContainsFunc(noCommonTLS, func(alert tls.AlertError) bool { return op.Err.Error() == alert.Error() }) // their types differ
	}
	return err != nil && (strings.Contains(err.Error(), "tls: server selected unsupported protocol version") ||
		strings.Contains(err.Error(), "tls: server chose an unconfigured cipher suite"))
}

// mechanismHint returns the remedy if the server does not offer the mechanism.
func mechanismHint(e *sasl.NotOffered) string {
	offers := func(wanted string) bool {
		_, err := sasl.Choose(wanted, e.Offered)
		return err == nil
	}
	password := sasl.TakesPassword(e.Wanted[0])
	switch {
	case password && offers("password"):
		return `The server accepts a password by another mechanism: take mechanism out of the provider's section, so that xoauthd uses one that the server offers.`
	case !password && offers("auto"):
		return `The server accepts an access token by another mechanism: take mechanism out of the provider's section, so that xoauthd uses one that the server offers.`
	case password && offers("auto"):
		return `This server accepts an access token and no password: the provider needs a flow of OAuth instead of "app_password".`
	case !password && offers("password"):
		return `This server accepts a password and no access token: set flow = "app_password" in the provider's section, or check host.`
	}
	return "This server offers no login on this port: check host, port and tls in the provider's section of the configuration."
}
