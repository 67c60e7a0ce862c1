package wire

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// failHandshake returns the error of a server whose client does not complete the
// handshake.
func failHandshake(t *testing.T, config *tls.Config, client func(net.Conn)) error {
	t.Helper()
	ours, peer := tcp(t)
	runAlongside(t, func() {
		client(peer)
		peer.CloseWrite()
		io.Copy(io.Discard, peer)
	})
	c := New(ours, time.Minute)
	defer c.Close()
	return c.BeginTLS(config)
}

// The texts of crypto/tls still match the constants.
func TestTLSErrors(t *testing.T) {
	server, client := tlsConfigs(t)
	wanting := server.Clone()
	wanting.ClientAuth, wanting.ClientCAs = tls.RequireAndVerifyClientCert, client.RootCAs
	newest := server.Clone()
	newest.MinVersion = tls.VersionTLS13
	otherCA, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := otherCA.IssueWith(func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	if err != nil {
		t.Fatal(err)
	}
	// begin returns a client that begins TLS with a changed configuration.
	begin := func(change func(*tls.Config)) func(net.Conn) {
		return func(c net.Conn) {
			config := client.Clone()
			change(config)
			inside := tls.Client(c, config)
			inside.Handshake()
			inside.Read(make([]byte, 1)) // in TLS 1.3 the server finishes last
		}
	}
	for _, test := range []struct {
		name   string
		server *tls.Config
		client func(net.Conn)
		want   string
	}{
		{"a TLS 1.1 client", server, begin(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }),
			"client supports no version newer than TLS 1.1, and min_tls of the listener requires one"},
		{"a TLS 1.2 client", newest, begin(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
			"client supports no version newer than TLS 1.2, and min_tls of the listener requires one"},
		{"a client with RSA cipher suites only", server, begin(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}), "client and listener have no common cipher suite; a very old client may need min_tls below 1.2 or a certificate with an RSA key"},
		{"no certificate", wanting, begin(func(*tls.Config) {}),
			"client sent no certificate, and client_ca_file of the listener requires one"},
		{"no certificate, in TLS 1.2", wanting, begin(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
			"client sent no certificate, and client_ca_file of the listener requires one"},
		{"a certificate of another authority", wanting, begin(func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
		}), "client_ca_file of the listener does not allow the client certificate: x509: certificate signed by unknown authority"},
		{"a client that does not trust the server", server, begin(func(c *tls.Config) { c.RootCAs = otherCA.Pool() }),
			"client does not trust the certificate of the listener (bad certificate): make the client trust it or the authority that signed it"},
		{"plain text", server, func(c net.Conn) { io.WriteString(c, "a LOGIN joe s3cret\r\n") },
			"client sent plain text on a port that begins with TLS: set encryption to SSL/TLS in the client"},
		{"an incomplete handshake", server, func(c net.Conn) { io.WriteString(c, "\x16\x03\x01\x00\x05\x01") },
			"client closed the connection; it may not trust the certificate of the listener"},
		{"SSL 2.0", server, func(c net.Conn) { io.WriteString(c, "\x80\x2e\x01\x00\x02\x00\x15") }, "unsupported SSLv2 handshake received"},
		{"SSL 3.0", server, func(c net.Conn) {
			io.WriteString(c, "\x16\x03\x00\x00\x2d\x01\x00\x00\x29\x03\x00"+strings.Repeat("x", 32)+"\x00\x00\x02\x00\x2f\x01\x00")
		}, "client supports no version newer than SSL 3.0, and min_tls of the listener requires one"},
	} {
		err := failHandshake(t, test.server, test.client)
		var failed *TLSError
		if !errors.As(err, &failed) || !strings.HasPrefix(failed.Reason, test.want) || failed.Error() != "TLS: "+failed.Reason || failed.Err == nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if err := failHandshake(t, server, func(net.Conn) {}); !errors.Is(err, io.EOF) || errors.As(err, new(*TLSError)) {
		t.Errorf("a client that sends nothing: %v", err)
	}
}

// An OpenSSL client that does not trust the server sends an alert that crypto/tls
// cannot decrypt.
func TestOpenSSLUntrusted(t *testing.T) {
	requireOpenSSL(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", ln.Addr().String(), "-tls1_3", "-verify_return_error")
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	runAlongside(t, func() { client.Wait() })
	ours, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := New(ours, time.Minute)
	defer c.Close()
	server, _ := tlsConfigs(t)
	var failed *TLSError
	if err := c.BeginTLS(server); !errors.As(err, &failed) || !strings.Contains(failed.Reason, "connect by a name in the certificate") {
		t.Error(err)
	}
}

func TestTLSErrorReason(t *testing.T) {
	for alert, want := range map[tls.AlertError]string{
		48: "client does not trust the certificate of the listener (unknown certificate authority): make the client trust it or the authority that signed it",
		45: "client does not trust the certificate of the listener (expired certificate): make the client trust it or the authority that signed it",
		40: "client sent alert: handshake failure",
		90: "client sent alert: user canceled",
	} {
		if got := tlsErrorReason(&net.OpError{Op: "remote error", Err: alert}); got != want {
			t.Errorf("%d: %s", alert, got)
		}
	}
	for err, want := range map[error]string{
		&net.OpError{Op: "local error", Err: tls.AlertError(10)}:                "local error: tls: unexpected message",
		&net.OpError{Op: "read", Err: fmt.Errorf("connection reset")}:           "client closed the connection; it may not trust the certificate of the listener",
		errors.New("tls: no certificates configured"):                           "no certificates configured",
		errors.New("tls: " + unsupportedVersionsText + "[a0a zz 302 301 fafa]"): "client supports no version newer than TLS 1.1, and min_tls of the listener requires one",
	} {
		if got := tlsErrorReason(err); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}
