package proxy

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestOldTLS checks the hint for a mail server with only RSA key exchange, or only TLS 1.0.
func TestOldTLS(t *testing.T) {
	certificate, roots := rsaCertificate(t)
	try := func(config *tls.Config) error {
		config.Certificates = []tls.Certificate{certificate}
		ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			c.(*tls.Conn).Handshake() // if that succeeds, there is no greeting
		}()
		u := &Upstream{Host: "localhost", Port: ln.Addr().(*net.TCPAddr).Port,
			TLS: &tls.Config{ServerName: "localhost", RootCAs: roots, MinVersion: tls.VersionTLS12}}
		s := &Server{Limits: Limits{Step: 10 * time.Second}, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())}
		return s.CheckReachable(t.Context(), "imap", u)
	}
	rsaOnly := func() *tls.Config {
		return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}
	}
	for name, config := range map[string]*tls.Config{
		"RSA key exchange": rsaOnly(),
		"TLS 1.0":          {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
	} {
		err := try(config)
		if got := Hint(err); asError(err).Result != UpstreamDown || !strings.Contains(got, "TLS 1.2 with ECDHE") {
			t.Errorf("%s: %v (%s)", name, err, got)
		}
	}
	t.Setenv("GODEBUG", "tlsrsakex=1") // as in the hint
	if err := try(rsaOnly()); err == nil || !strings.Contains(err.Error(), "greeting") {
		t.Errorf("with tlsrsakex=1 the handshake should succeed, and the greeting be missing: %v", err)
	}
}

// rsaCertificate returns a certificate for localhost with an RSA key, and a pool with it.
func rsaCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}, roots
}
