package main_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// testOldTLS connects with a client that supports only TLS 1.0, like devices fifteen years
// old. Only a listener with min_tls = "1.0" accepts it.
func testOldTLS(t *testing.T, e *env) {
	tables := e.certificate(t, "listener", "localhost", "127.0.0.1")
	old, oldPorts := e.listeners(t, "tls = \"auto\"\nmin_tls = \"1.0\"")
	today, todayPorts := e.listeners(t, `tls = "auto"`)
	d := e.newDaemonWith(t, func(c *daemonConfig) { c.Listeners = tables + old + today })
	d.authorize(t)
	ancient := []string{"--tlsv1.0", "--tls-max", "1.0", "--ciphers", "DEFAULT@SECLEVEL=0"}
	for _, by := range []way{starttls, implicit} {
		for _, protocol := range []string{"imap", "pop3"} {
			through := d.through(oldPorts, by)
			r := through.curl(t, command{}, through.url(protocol), ancient...)
			if r.status != 0 {
				t.Errorf("%s by %s: exit status %d\n%s", protocol, by, r.status, shorten(r.stderr))
			}
			contains(t, "what curl said", r.stderr, "SSL connection using TLSv1 ")
			through = d.through(todayPorts, by)
			if r := through.curl(t, command{}, through.url(protocol), ancient...); r.status != 35 { // TLS failed
				t.Errorf("%s by %s, of today: exit status %d\n%s", protocol, by, r.status, shorten(r.stderr))
			}
		}
	}
	d.logs(t, "min_tls", "result=tls_failed", `tls="TLS 1.0"`)
}

// testClientCertificate connects clients that send a certificate in addition to the
// password.
func testClientCertificate(t *testing.T, e *env) {
	authority, err := ca.New()
	must(t, err)
	must(t, os.WriteFile(e.path("clients.pem"), authority.PEM(), 0o644))
	own, err := authority.IssueWith(func(c *x509.Certificate) {
		c.Subject.CommonName = "scanner"
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	must(t, err)
	cert, key, err := ca.Encode(own)
	must(t, err)
	must(t, os.WriteFile(e.path("scanner.pem"), append(cert, key...), 0o600))

	tables, ports := e.listeners(t, fmt.Sprintf("tls = \"implicit\"\nclient_ca_file = %q", e.path("clients.pem")))
	tables += e.certificate(t, "listener", "localhost", "127.0.0.1")
	d := e.newDaemonWith(t, func(c *daemonConfig) { c.Listeners = tables })
	d.authorize(t)
	d = d.through(ports, implicit)
	for _, protocol := range protocols {
		if r := d.curl(t, command{}, d.url(protocol), "--cert", e.path("scanner.pem")); protocol != "smtp" && r.status != 0 {
			t.Errorf("%s with a certificate: exit status %d\n%s", protocol, r.status, shorten(r.stderr))
		}
		if r := d.curl(t, command{}, d.url(protocol)); r.status == 0 {
			t.Errorf("%s without a certificate: it came in", protocol)
		}
		if r := d.curl(t, command{}, d.url(protocol), "--cert", e.path("listener.pem"), "--key", e.path("listener.key")); r.status == 0 {
			t.Errorf("%s with a stranger's certificate: it came in", protocol)
		}
	}
	d.logs(t, "client_certificate=scanner", "result=tls_failed")
}

// shown returns the certificate that a listener presents for a server name.
func (d *daemon) shown(t *testing.T, port int, name string) *x509.Certificate {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(d.ca.PEM())
	c, err := tls.Dial("tcp", address(port), &tls.Config{ServerName: name, RootCAs: roots})
	must(t, err)
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// testCertificates checks that listeners choose the certificate by server name and load
// replaced files. Running sessions continue, and an invalid file changes nothing.
func testCertificates(t *testing.T, e *env) {
	tables, ports := e.listeners(t, `tls = "implicit"`)
	tables += e.certificate(t, "first", "localhost", "127.0.0.1") + e.certificate(t, "second", "mail.example.com")
	d := e.newDaemonWith(t, func(c *daemonConfig) { c.Listeners = tables })
	d.authorize(t)
	first, second := d.shown(t, ports["imap"], "localhost"), d.shown(t, ports["imap"], "mail.example.com")
	if first.Equal(second) {
		t.Error("both names have one certificate")
	}

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.ca.PEM())
	conn, err := tls.Dial("tcp", address(ports["imap"]), &tls.Config{ServerName: "localhost", RootCAs: roots})
	must(t, err)
	c := newConversation(t, conn)
	c.line()
	c.do("LOGIN %s %s", d.user, quote(d.password))

	e.certificate(t, "second", "mail.example.com")
	poll(t, "the new certificate", func() bool { return !d.shown(t, ports["imap"], "mail.example.com").Equal(second) })
	if !d.shown(t, ports["smtp"], "localhost").Equal(first) {
		t.Error("the other certificate is another one, too")
	}
	must(t, os.WriteFile(e.path("first.pem"), []byte("half a certificate"), 0o644))
	poll(t, "a complaint", func() bool {
		d.shown(t, ports["pop3"], "localhost")
		return strings.Contains(d.logged(t), "first.pem")
	})
	if !d.shown(t, ports["imap"], "localhost").Equal(first) {
		t.Error("the good certificate is not used any more")
	}
	c.do("SELECT INBOX")
	c.do("LOGOUT")
}
