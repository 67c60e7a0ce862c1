package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/mailhost"
)

// TestTrusted checks that clients with OpenSSL (curl) and GnuTLS (msmtp) accept a
// certificate of make-cert if they trust it, and only then.
func TestTrusted(t *testing.T) {
	other := makeCert(t)
	for _, options := range [][]string{{"--days=825"}, {"--rsa"}} {
		t.Run(options[0], func(t *testing.T) {
			made := makeCert(t, options...)
			certificate, err := tls.LoadX509KeyPair(made+".pem", made+".key")
			if err != nil {
				t.Fatal(err)
			}
			if c := certificate.Leaf; c.IsCA || !c.BasicConstraintsValid {
				t.Error("it is that of an authority")
			}
			port := serveCertificate(t, certificate)
			for trusted, in := range map[string]bool{made: true, other: false} {
				curl := []string{"curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", trusted + ".pem", "--request", "NOOP"}
				connects(t, in, append(curl, "smtps://localhost:"+port))
				connects(t, in, append(curl, "smtps://127.0.0.1:"+port))
				connects(t, in, []string{"msmtp", "--serverinfo", "--host=localhost", "--port=" + port,
					"--tls=on", "--tls-starttls=off", "--tls-trust-file=" + trusted + ".pem"})
			}
		})
	}
}

// makeCert returns the path of what was made, without .pem and .key.
func makeCert(t *testing.T, options ...string) string {
	t.Helper()
	folder := t.TempDir()
	if status := run(t.Context(), append([]string{"make-cert", "--directory", folder}, options...), nil, io.Discard, t.Output()); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	return filepath.Join(folder, "localhost")
}

// serveCertificate is a mail server that begins TLS with the first octet.
func serveCertificate(t *testing.T, certificate tls.Certificate) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := mailhost.New(mailhost.Config{Certificate: certificate})
	served := make(chan error, 1)
	go func() { served <- h.ServeSMTPS(ln) }()
	t.Cleanup(func() {
		h.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// connects runs a client, which a machine may lack, but not where every test is
// required.
func connects(t *testing.T, in bool, client []string) {
	t.Helper()
	if _, err := exec.LookPath(client[0]); err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Error(err)
		}
		t.Log(err)
		return
	}
	out, err := exec.CommandContext(t.Context(), client[0], client[1:]...).CombinedOutput()
	if (err == nil) != in {
		t.Errorf("%s: %v\n%s", client, err, bytes.TrimSpace(out))
	}
}
