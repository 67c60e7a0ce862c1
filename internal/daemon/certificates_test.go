package daemon

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// An issuer writes certificates into a folder.
type issuer struct {
	t      *testing.T
	ca     *ca.CA
	folder string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{t, authority, t.TempDir()}
}

// issue writes name.pem and name.key of a certificate for names that lives for
// life.
func (i *issuer) issue(name string, life time.Duration, names ...string) config.Certificate {
	i.t.Helper()
	c, err := i.ca.IssueWith(func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(life)
	}, names...)
	if err != nil {
		i.t.Fatal(err)
	}
	cert, key, err := ca.Encode(c)
	if err != nil {
		i.t.Fatal(err)
	}
	of := config.Certificate{File: filepath.Join(i.folder, name+".pem"), KeyFile: filepath.Join(i.folder, name+".key"), Line: 7}
	i.write(of.File, cert)
	i.write(of.KeyFile, key)
	return of
}

// write replaces a file by a rename, as ACME clients do.
func (i *issuer) write(path string, text []byte) {
	i.t.Helper()
	if err := os.WriteFile(path+"~", text, 0o600); err != nil {
		i.t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		i.t.Fatal(err)
	}
}

func (i *issuer) read(path string) []byte {
	i.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		i.t.Fatal(err)
	}
	return b
}

// handshake is what a client sees of a server, if both let the other in.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		s, err := ln.Accept()
		if err != nil {
			return
		}
		defer s.Close()
		s.Write([]byte("x")) // after the handshake
	}()
	c, err := tls.Dial("tcp", ln.Addr().String(), client)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	_, err = io.ReadFull(c, make([]byte, 1)) // instead of which a server of TLS 1.3 may say no
	return c.ConnectionState(), err
}

// shown returns the first name of the certificate that server presents for a server name.
func shown(t *testing.T, server *tls.Config, name string) string {
	t.Helper()
	state, err := handshake(t, server, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

// TestChoose checks that a client receives the certificate for its server name, or else the
// first one.
func TestChoose(t *testing.T) {
	i := newIssuer(t)
	c := &config.Config{Certificates: []config.Certificate{
		i.issue("one", time.Hour, "one.example.com", "127.0.0.1"),
		i.issue("two", time.Hour, "two.example.com", "*.three.example.com"),
	}}
	cs, err := readCertificates(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := cs.serverConfig(config.Listener{MinTLS: tls.VersionTLS12})
	for name, want := range map[string]string{
		"one.example.com":     "one.example.com",
		"TWO.example.com":     "two.example.com",
		"a.three.example.com": "two.example.com",
		"four.example.com":    "one.example.com",
		"":                    "one.example.com",
	} {
		if got := shown(t, server, name); got != want {
			t.Errorf("who asks for %q is shown %s", name, got)
		}
	}
	if _, err := certificates(nil).choose(nil); err == nil {
		t.Error("a certificate though there is none")
	}
}

// TestRenewal checks that a changed pair of files is used. Files that do not match are logged
// once if they stay so, and the pair before them stays in use.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		of := i.issue("x", time.Hour, "one")
		var log strings.Builder
		cs, err := readCertificates(&config.Config{Certificates: []config.Certificate{of}}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		server := cs.serverConfig(config.Listener{MinTLS: tls.VersionTLS12})
		after := func(d time.Duration, want, told string) {
			t.Helper()
			time.Sleep(d)
			if got := shown(t, server, ""); got != want {
				t.Errorf("shown is the certificate of %s, want %s", got, want)
			}
			if !strings.Contains(log.String(), told) || (told == "") != (log.String() == "") {
				t.Errorf("log: %s\nwant %s", &log, told)
			}
			log.Reset()
		}
		i.issue("x", time.Hour, "two")
		after(checkInterval/2, "one", "") // too early for another check
		after(checkInterval, "two", "level=INFO msg=\"certificate renewed\"")
		after(time.Hour, "two", "")

		// Between the replacement of the two files, they do not match.
		key, renewed := i.read(of.KeyFile), i.read(i.issue("y", time.Hour, "three").File)
		i.write(of.File, renewed)
		after(time.Hour, "two", "")
		i.write(of.KeyFile, i.read(filepath.Join(i.folder, "y.key")))
		after(time.Hour, "three", "level=INFO")

		// They stay so.
		i.write(of.KeyFile, key)
		after(time.Hour, "three", "")
		after(time.Hour, "three", "level=ERROR msg=\"certificate not renewed")
		after(time.Hour, "three", "")
		os.Remove(of.KeyFile)
		after(time.Hour, "three", "")
		after(time.Hour, "three", "no such file")
		after(time.Hour, "three", "")
		i.issue("x", time.Hour, "four")
		after(time.Hour, "four", "level=INFO")

		// A key that all users can read is not used.
		i.issue("x", time.Hour, "five")
		os.Chmod(of.KeyFile, 0o644)
		after(time.Hour, "four", "")
		after(time.Hour, "four", "every local user can read it: chmod g-w,o= ")
		os.Chmod(of.KeyFile, 0o600)
		after(time.Hour, "five", "level=INFO")
	})
}

// TestUnreadable checks that all errors are reported at the start, each with its line and a
// remedy.
func TestUnreadable(t *testing.T) {
	i := newIssuer(t)
	one, two := i.issue("one", time.Hour, "one"), i.issue("two", time.Hour, "two")
	c := &config.Config{File: "xoauthd.toml", Certificates: []config.Certificate{
		{File: one.File, KeyFile: two.KeyFile, Line: 3},
		{File: one.KeyFile, KeyFile: one.KeyFile, Line: 5},
		{File: filepath.Join(i.folder, "none.pem"), KeyFile: one.KeyFile, Line: 9},
	}}
	_, err := readCertificates(c, slog.New(slog.DiscardHandler))
	for _, want := range []string{
		"xoauthd.toml:3: certificate: " + one.File + " and " + two.KeyFile + ": tls: private key does not match",
		"xoauthd.toml:5: certificate: ",
		"xoauthd.toml:9: certificate: ",
		"provide a certificate and its private key",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %s", err, want)
		}
	}
}

// TestServerConfig checks that clients with an older TLS version or without the required
// certificate are rejected.
func TestServerConfig(t *testing.T) {
	i := newIssuer(t)
	c := &config.Config{Certificates: []config.Certificate{i.issue("x", time.Hour, "x")}}
	cs, err := readCertificates(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	known, err := i.ca.IssueWith(ca.WrongPurpose, "client")
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := newIssuer(t).ca.IssueWith(ca.WrongPurpose, "client")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name        string
		min, client uint16
		cas         bool
		certificate *tls.Certificate
		in          bool
	}{
		{"TLS 1.3 for 1.3", tls.VersionTLS13, tls.VersionTLS13, false, nil, true},
		{"TLS 1.2 for 1.3", tls.VersionTLS13, tls.VersionTLS12, false, nil, false},
		{"TLS 1.1 for 1.2", tls.VersionTLS12, tls.VersionTLS11, false, nil, false},
		{"TLS 1.0 for 1.0", tls.VersionTLS10, tls.VersionTLS10, false, nil, true},
		{"TLS 1.3 for 1.0", tls.VersionTLS10, tls.VersionTLS13, false, nil, true},
		{"no certificate", tls.VersionTLS12, tls.VersionTLS13, true, nil, false},
		{"a known certificate", tls.VersionTLS12, tls.VersionTLS13, true, &known, true},
		{"an unknown certificate", tls.VersionTLS12, tls.VersionTLS13, true, &unknown, false},
	} {
		l := config.Listener{MinTLS: test.min}
		if test.cas {
			l.ClientCAs = i.ca.Pool()
		}
		client := &tls.Config{ServerName: "x", RootCAs: i.ca.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: test.client}
		if test.certificate != nil {
			client.Certificates = []tls.Certificate{*test.certificate}
		}
		if _, err := handshake(t, cs.serverConfig(l), client); (err == nil) != test.in {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestOldSuites checks that a listener accepts 3DES and RSA key exchange only if it
// accepts TLS 1.0, and that clients with better suites get those there too.
func TestOldSuites(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"x"}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	pair := &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
	cs := certificates{{pair: pair, looked: time.Now().Add(time.Hour)}}
	for _, test := range []struct {
		name   string
		min    uint16
		suites []uint16
		want   uint16 // 0: rejected
	}{
		{"3DES", tls.VersionTLS10, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA},
		{"CBC", tls.VersionTLS10, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		{"RC4", tls.VersionTLS10, []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}, 0},
		{"old and new", tls.VersionTLS10, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		{"3DES elsewhere", tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}, 0},
	} {
		client := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12, CipherSuites: test.suites}
		state, err := handshake(t, cs.serverConfig(config.Listener{MinTLS: test.min}), client)
		if (err == nil) != (test.want != 0) || err == nil && state.CipherSuite != test.want {
			t.Errorf("%s: %s, %v", test.name, tls.CipherSuiteName(state.CipherSuite), err)
		}
	}
}

// TestCertificateExpiry checks the metric of the expiry, and that the log warns before it.
func TestCertificateExpiry(t *testing.T) {
	i := newIssuer(t)
	const day = 24 * time.Hour
	c := &config.Config{Certificates: []config.Certificate{i.issue("one", day, "one"), i.issue("two", day, "two")}}
	cs, err := readCertificates(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if n := testutil.CollectAndCount(newExpiryCollector(&cs)); n != 2 {
		t.Errorf("%d metrics", n)
	}
	var log strings.Builder
	for _, test := range []struct {
		lives, left time.Duration
		warned      bool
	}{
		{800 * day, 31 * day, false},
		{800 * day, 29 * day, true},
		{90 * day, 29 * day, false},
		{90 * day, 17 * day, true},
		{90 * day, -day, true},
	} {
		leaf := &x509.Certificate{NotBefore: time.Now().Add(test.left - test.lives), NotAfter: time.Now().Add(test.left)}
		log.Reset()
		cs := certificates{{Certificate: config.Certificate{File: "x.pem"}, pair: &tls.Certificate{Leaf: leaf}, looked: time.Now()}}
		cs.warn(slog.New(slog.NewTextHandler(&log, nil)))
		if strings.Contains(log.String(), "file=x.pem") != test.warned {
			t.Errorf("%v of %v left: %s", test.left, test.lives, &log)
		}
	}
}
