package config

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Certificate names the PEM files of a server certificate and its private key. The
// daemon reads them again when they change.
type Certificate struct {
	File    string // the chain, beginning with the server's own certificate
	KeyFile string // may equal File
	Line    int    // in the configuration file
}

// Load reads the certificate and its private key. It returns an error if a user other
// than root and the one that runs xoauthd can change the files or read the key. Load may
// be called concurrently.
func (c Certificate) Load() (*tls.Certificate, error) {
	f := new(file)
	chain, err := f.readPEM(c.File)
	if err != nil {
		return nil, err
	}
	key := chain
	if c.KeyFile != c.File {
		if key, err = f.readPEM(c.KeyFile); err != nil {
			return nil, err
		}
	}
	pair, err := tls.X509KeyPair([]byte(chain), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w; provide a certificate and its private key, both in PEM", c.File, c.KeyFile, err)
	}
	return &pair, nil
}

func (t *table) certificates() (all []Certificate) {
	for _, c := range t.tableList("certificate") {
		c.require("file", `write for example file = "localhost.pem"; "xoauthd make-cert" creates one for this machine`)
		all = append(all, c.serverCertificate())
		c.reportUnknown()
	}
	return all
}

// serverCertificate reads a table [[certificate]], and checks the files that it names.
func (t *table) serverCertificate() Certificate {
	c := Certificate{File: t.filePath("file"), KeyFile: t.filePath("key_file"), Line: t.pos.line()}
	c.KeyFile = cmp.Or(c.KeyFile, c.File)
	if c.File == "" {
		return c // already reported
	}
	text, err := t.file.readPEM(c.File)
	if err != nil {
		t.externalFault("file", "%v", err)
	}
	key, keyErr := text, err
	if c.KeyFile != c.File {
		key, keyErr = t.file.readPEM(c.KeyFile)
		if keyErr != nil {
			t.externalFault("key_file", "%v", keyErr)
		}
	}
	if err == nil && keyErr == nil {
		t.checkServerCertificate(c, text, key)
	}
	return c
}

// readPEM reads a file that may hold a private key. It does not add the file to the
// fingerprint: the daemon reads the file again when it changes, so a change does not make
// the running configuration differ from the file.
func (f *file) readPEM(path string) (text string, err error) {
	return f.readChecked(path, holdsKey)
}

// checkServerCertificate reports faults of the content of the two files.
func (t *table) checkServerCertificate(c Certificate, text, key string) {
	chain, err := parseCertificates(text)
	oneFile := c.KeyFile == c.File
	switch {
	case isSwapped(text, key):
		t.externalFault("key_file", "%s: holds the certificate, and file holds the private key; swap the two", c.KeyFile)
		return
	case err != nil:
	case oneFile && !holdsKey(text):
		err = errors.New("holds no private key; set key_file to the file of the key")
	default:
		err = checkChain(chain)
	}
	if err != nil {
		t.externalFault("file", "%s: %v", c.File, err)
	} else {
		t.checkValidity(c, chain[0])
	}
	switch err := checkServerKey(key, chain); {
	case err != nil && !oneFile:
		t.externalFault("key_file", "%s: %v", c.KeyFile, err)
	case err != nil && holdsKey(text):
		t.externalFault("file", "%s: %v", c.File, err)
	}
}

// checkChain returns an error if clients would reject the chain. An issuer can have
// several certificates in the chain, so each certificate must have issued one of those
// above it, not necessarily the previous one.
func checkChain(chain []*x509.Certificate) error {
	for i, c := range chain[1:] {
		issued := func(above *x509.Certificate) bool { return bytes.Equal(above.RawIssuer, c.RawSubject) }
		if !slices.ContainsFunc(chain[:i+1], issued) {
			return fmt.Errorf("the certificates are out of order: number %d issued none of those above it; put the server certificate first, and each issuer below", i+2)
		}
	}
	if len(chain[0].DNSNames)+len(chain[0].IPAddresses) == 0 {
		return errors.New("the certificate has no host name in its subjectAltName, so clients reject it; create a new one")
	}
	return nil
}

// checkServerKey returns an error if the private key in text is unusable, or does not
// belong to the first certificate of chain.
func checkServerKey(text string, chain []*x509.Certificate) error {
	all := blocks(text)
	first := slices.IndexFunc(all, isKey)
	if first < 0 {
		return errNotPEM(text, "private key")
	}
	if _, err := decodeKey(all[first]); err != nil {
		return err
	}
	fits := func(c *x509.Certificate) bool {
		own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		_, err := tls.X509KeyPair(own, []byte(text))
		return err == nil
	}
	switch i := slices.IndexFunc(chain, fits); {
	case i < 0 && len(chain) > 0:
		return errors.New("the private key does not belong to the certificate")
	case i > 0:
		return fmt.Errorf("the private key belongs to certificate %d of the file; put the server certificate first", i+1)
	}
	return nil
}

// checkValidity warns of an expired certificate. It is not a fault: if the daemon did not
// start, it would serve no clients at all, not even those without TLS.
func (t *table) checkValidity(c Certificate, leaf *x509.Certificate) {
	switch now := t.file.now; {
	case now.After(leaf.NotAfter):
		t.file.warn(t.line("file"), "file: %s: the certificate expired on %s, so clients reject it; renew it", c.File, leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		t.file.warn(t.line("file"), "file: %s: the certificate is not valid until %s, so clients reject it", c.File, leaf.NotBefore.Format(time.DateOnly))
	}
}

// clientCAs reads the certificates of the authorities that sign client certificates.
func (t *table) clientCAs() *x509.CertPool {
	path := t.filePath("client_ca_file")
	if path == "" {
		return nil
	}
	text, err := t.file.readFile(path, notSecret)
	if err != nil {
		t.externalFault("client_ca_file", "%v", err)
		return nil
	}
	all, err := parseCertificates(text)
	if err != nil {
		t.externalFault("client_ca_file", "%s: %v", path, err)
	}
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool
}
