package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/proxy"
)

func TestHint(t *testing.T) {
	down := func(err error) error { return proxy.Fail(proxy.UpstreamDown, fmt.Errorf("TLS: %w", err)) }
	untrusted := func(err error) error { return down(&tls.CertificateVerificationError{Err: err}) }
	refused := func(words string) error {
		return &proxy.Error{Result: proxy.UpstreamRefused, Detail: words, Err: errors.New(words)}
	}
	for _, test := range []struct {
		err  error
		want string // a part; none if empty
	}{
		{nil, ""},
		{down(errors.New("what is this")), ""},
		{untrusted(x509.HostnameError{Host: "x", Certificate: &x509.Certificate{}}), "check host"},
		{untrusted(x509.UnknownAuthorityError{}), "ca_file"},
		{untrusted(x509.CertificateInvalidError{Reason: x509.Expired}), "clock"},
		{down(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "x"}}), "DNS"},
		{down(&net.OpError{Op: "dial", Err: errors.New("refused")}), "firewall"},
		{refused("535 5.7.139 Authentication unsuccessful"), "-SmtpClientAuthenticationDisabled $false"},
		{refused("535 5.7.3 Authentication unsuccessful"), "another mailbox"},
		{refused("NO AUTHENTICATE failed."), "another mailbox"},
		{refused("NO [ALERT] Your account is not enabled for IMAP use."), "Have IMAP enabled"},
		{refused("BAD User is authenticated but not connected."), "no rights on this mailbox"},
	} {
		if got := hint(test.err); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}
