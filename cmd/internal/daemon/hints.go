package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"github.com/xoauthd/xoauthd/proxy"
)

// hint tells what a person can do about err, of a trial login, or nothing. Types
// and codes decide; words do where a server gives neither.
func hint(err error) string {
	var e *proxy.Error
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	var network *net.OpError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &certificate):
		return certificateHint(certificate.Err)
	case errors.As(err, &dns):
		return "The server's name is not known from here: check host in the provider's section of the configuration, and this machine's DNS."
	case errors.As(err, &network):
		return "The server cannot be reached from this machine: check host and port, and whether a firewall lets mail out. Then authorize again."
	case errors.As(err, &e) && e.Result == proxy.UpstreamRefused:
		return refusalHint(e.Detail)
	}
	return ""
}

func certificateHint(err error) string {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &name):
		return "The certificate is for another server: check host in the provider's section of the configuration."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "The certificate is not valid at this time: check this machine's clock. If it is right, the server's certificate has to be renewed."
	}
	return "The certificate is of an authority that is not trusted here: check host, or make ca_file that authority's certificate."
}

// refusalHint goes by what a server said: its enhanced code (RFC 3463), where it
// has one, comes second.
func refusalHint(words string) string {
	says := func(part string) bool { return strings.Contains(strings.ToLower(words), part) }
	fields := append(strings.Fields(words), "", "")
	switch {
	case fields[1] == "5.7.139", says("smtpclientauthentication is disabled"):
		return "An administrator of Microsoft 365 has to allow SMTP for this mailbox: Set-CASMailbox <mailbox> -SmtpClientAuthenticationDisabled $false."
	case says("authenticated but not connected"):
		return "The token is another user's, or has no rights on this mailbox: authorize again and sign in as its user."
	case says("not enabled for imap"), says("imap is disabled"), says("imap access is disabled"):
		return "Have IMAP enabled in the settings of the mailbox, or by its administrator. Then authorize again."
	}
	return "Either another mailbox was chosen at the provider, or this way in (IMAP, SMTP) is not enabled for the mailbox."
}
