// Package ca is a certificate authority in memory for the demo and the tests. Its key is
// never written to disk, and its certificates are valid for a month.
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"time"
)

// Certificates are valid from an hour ago, because clocks differ, and longer than demos
// run.
const (
	age  = time.Hour
	life = 30 * 24 * time.Hour
)

// A CA signs server certificates. Several goroutines may use it at once.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New returns an authority with a new ECDSA P-256 key.
func New() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of the CA: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "xoauthd test CA"},
		NotBefore:             now.Add(-age),
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the CA: %w", err)
	}
	return &CA{cert: cert, key: key}, nil
}

// Issue returns a new key and a certificate of a TLS server for it. Each of
// names is a DNS name or an IP address.
func (a *CA) Issue(names ...string) (tls.Certificate, error) {
	return a.IssueWith(func(*x509.Certificate) {}, names...)
}

// IssueWith is Issue for invalid certificates: change may modify all but the key before
// the certificate is signed.
func (a *CA) IssueWith(change func(template *x509.Certificate), names ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	template := server(names)
	change(template)
	return issue(template, a.cert, key, a.key)
}

// SelfSigned is Issue for a certificate that no authority has signed.
func SelfSigned(names ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	template := server(names)
	return issue(template, template, key, key)
}

// server returns the template of a server certificate.
func server(names []string) *x509.Certificate {
	now := time.Now()
	template := &x509.Certificate{
		NotBefore:   now.Add(-age),
		NotAfter:    now.Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if len(names) > 0 {
		template.Subject.CommonName = names[0]
	}
	return template
}

// issue returns key with a certificate for it that the signer's key has signed.
func issue(template, signer *x509.Certificate, key, signing *ecdsa.PrivateKey) (tls.Certificate, error) {
	leaf, err := sign(template, signer, key.Public(), signing)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// Expired makes a certificate that expired a minute ago; for IssueWith.
func Expired(template *x509.Certificate) {
	template.NotAfter = time.Now().Add(-time.Minute)
}

// NotYetValid makes a certificate that is valid in an hour; for IssueWith.
func NotYetValid(template *x509.Certificate) {
	template.NotBefore = time.Now().Add(time.Hour)
}

// WrongPurpose makes a certificate that is not for a server; for IssueWith.
func WrongPurpose(template *x509.Certificate) {
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// PEM returns the certificate of the authority in PEM form.
func (a *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Pool returns a pool with the certificate of the authority alone.
func (a *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Encode returns a certificate and its key in PEM form.
func Encode(c tls.Certificate) (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("key: %w", err)
	}
	for _, raw := range c.Certificate {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})...)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// sign makes a certificate for a public key; x509 picks the serial number.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}
