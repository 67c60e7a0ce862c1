package ca

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
)

func TestVerify(t *testing.T) {
	a := newCA(t)
	nothing := func(*x509.Certificate) {}
	tests := []struct {
		name   string
		change func(*x509.Certificate)
		host   string
		roots  *x509.CertPool
		want   any // pointer to the type of the error, or nil
	}{
		{"a DNS name", nothing, "mail.example.com", a.Pool(), nil},
		{"an IPv4 address", nothing, "127.0.0.1", a.Pool(), nil},
		{"an IPv6 address", nothing, "::1", a.Pool(), nil},
		{"another name", nothing, "example.com", a.Pool(), new(x509.HostnameError)},
		{"another CA", nothing, "mail.example.com", newCA(t).Pool(), new(x509.UnknownAuthorityError)},
		{"expired", Expired, "mail.example.com", a.Pool(), new(x509.CertificateInvalidError)},
		{"not yet valid", NotYetValid, "mail.example.com", a.Pool(), new(x509.CertificateInvalidError)},
		{"for another purpose", WrongPurpose, "mail.example.com", a.Pool(), new(x509.CertificateInvalidError)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := a.IssueWith(test.change, "mail.example.com", "127.0.0.1", "::1")
			if err != nil {
				t.Fatal(err)
			}
			err = verify(c, test.host, test.roots)
			switch {
			case test.want == nil && err != nil:
				t.Errorf("verify: %v", err)
			case test.want != nil && !errors.As(err, test.want):
				t.Errorf("verify: err = %v, want a %T", err, test.want)
			}
		})
	}
}

func TestPEM(t *testing.T) {
	a := newCA(t)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("PEM holds no certificate")
	}
	c, err := a.Issue("localhost")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Certificate[0], c.Certificate[0]) {
		t.Error("Encode gives another certificate")
	}
	if err := verify(again, "localhost", pool); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// verify returns the error of a client that connects to host with certificate c.
func verify(c tls.Certificate, host string, roots *x509.CertPool) error {
	_, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots})
	return err
}

func newCA(t *testing.T) *CA {
	t.Helper()
	a, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return a
}
