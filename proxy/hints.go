package proxy

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/internal/exhausted"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// Hint tells in a line or two what is behind err and what a person can do about
// it, or nothing. It knows the errors of sessions and of Try, as far as they are
// about an upstream, those that have a hint of their own, and those of go-imap and
// go-smtp. Types and codes decide; words do where a server gives neither.
func Hint(err error) string {
	var e *Error
	var network *net.OpError
	var mechanism *sasl.NotOffered
	var own interface{ Hint() string } // of what gets the tokens
	local := exhausted.Hint(err)
	switch words := said(err); {
	case local != "":
		return local
	case errors.As(err, &own):
		return own.Hint()
	case errors.As(err, &mechanism):
		return mechanismHint(mechanism)
	case errors.As(err, &e) && e.Result != UpstreamDown && e.Result != UpstreamRefused:
		return "" // it is about the client, or about the provider
	case words != "":
		return refusalHint(e, words)
	case errors.As(err, &network) && network.Op == "dial":
		return dialHint(err)
	case e != nil && e.upstream != nil && e.upstream.STARTTLS && errors.Is(err, os.ErrDeadlineExceeded):
		return `The server did not answer in time. One that wants TLS from the first octet on never does: if it stays so, set tls = "implicit" for this server, or check its port.`
	}
	return tlsHint(err)
}

// said are the words in which a server said no, with its codes before them.
func said(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.words
	}
	r, _ := refused(err, false)
	return r.words
}

func dialHint(err error) string {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "The server's name is not known from here: check host in the provider's section of the configuration, and this machine's DNS."
	}
	return "The server cannot be reached from this machine: check host and port, and whether a firewall lets mail out."
}

func tlsHint(err error) string {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case isOldTLS(err):
		return "The server and xoauthd have no TLS version or no cipher suite in common: xoauthd wants TLS 1.2 with ECDHE or newer. Have the server's TLS updated. If the server has nothing but RSA key exchange, GODEBUG=tlsrsakex=1 in the environment of xoauthd allows it until then."
	case errors.As(err, &record):
		return `The server does not speak TLS from the first octet on: set tls = "starttls" for this server, or check its port.`
	case errors.As(err, &name):
		return "The certificate is for another server: check host in the provider's section of the configuration."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "The certificate is not valid at this time: check this machine's clock. If it is right, the server's certificate has to be renewed."
	case errors.As(err, &certificate):
		return "The certificate is of an authority that is not trusted here: check host, or make ca_file that authority's certificate."
	}
	return ""
}

// The alerts with which a server ends a handshake for want of a common version or
// cipher suite (RFC 8446 section 6.2): handshake_failure, protocol_version and
// insufficient_security.
var noCommonTLS = []tls.AlertError{40, 70, 71}

// isOldTLS reports whether a handshake has failed for want of a common version or
// cipher suite. Where it is crypto/tls that refuses, the error has words only.
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
		return `The server has another way to take a password: take mechanism out of the provider's section, which leaves it to the server.`
	case !password && offers("auto"):
		return `The server has another way to take an access token: take mechanism out of the provider's section, which leaves it to the server.`
	case password && offers("auto"):
		return `This server takes an access token and no password: the provider needs a flow of OAuth instead of "app_password".`
	case !password && offers("password"):
		return `This server takes a password and no access token: set flow = "app_password" in the provider's section, or check host.`
	}
	return "This server lets nobody log in here: check host, port and tls in the provider's section of the configuration."
}

// refusalHint returns the hint for the words of a server. A temporary failure has one only
// if the words are known; a permanent one always has one.
func refusalHint(e *Error, words string) string {
	var u *Upstream
	if e != nil {
		u = e.upstream
	}
	hint := always.find(u, words)
	switch {
	case hint == webLogin && unlockLink(words) != "":
		return webLogin + " It is done at this address: " + unlockLink(words)
	case hint != "" || e != nil && e.Result == UpstreamDown:
		return hint
	case e == nil:
		return ofTokens.find(u, words)
	case !u.takesPassword():
		return cmp.Or(ofTokens.find(u, words), u.otherMailbox())
	}
	return cmp.Or(ofPasswords.find(u, words), appPassword)
}

// Google's link to unlock a login: in the response code WEBALERT of IMAP, and in angle
// brackets in SMTP, possibly over several lines.
var (
	webAlert  = regexp.MustCompile(`(?i)WEBALERT (https://[^\s\]]+)`)
	bracketed = regexp.MustCompile(`<(https://[^>]+)>`)
)

// unlockLink returns the link to unlock a login, or "".
func unlockLink(words string) string {
	for _, r := range []*regexp.Regexp{webAlert, bracketed} {
		if m := r.FindStringSubmatch(words); m != nil {
			return strings.Join(strings.Fields(m[1]), "")
		}
	}
	return ""
}

// otherMailbox returns the hint for a refused token if the words are not known.
func (u *Upstream) otherMailbox() string {
	if u != nil && u.Unattended {
		return noRight
	}
	return otherMailbox
}

// find returns the hint of the first entry that matches words: of the family of u, then of
// any server.
func (all sayings) find(u *Upstream, words string) string {
	family := ""
	if u != nil {
		family = u.Family
	}
	words = strings.ToLower(words)
	code := append(strings.Fields(words), "", "")[1]
	for _, s := range slices.Concat(all[family], all[""]) {
		if (s.code == "" || s.code == code) && strings.Contains(words, s.words) {
			return s.hint
		}
	}
	return ""
}
