package config

import (
	"cmp"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
)

// client reads who xoauthd is at the provider, and how it shows that (RFC 6749
// section 2.3): by a secret, by a certificate whose key signs assertions, by
// assertions that come from elsewhere (both RFC 7523 section 2.2), or not at
// all.
func (t *table) client(p *Provider) {
	ways := t.given("client_certificate", "client_assertion_file")
	if secrets := t.given(variants("client_secret")...); len(secrets) > 0 {
		ways = append(ways, secrets[0])
	}
	t.keepOne("client authentication", ways...)
	p.ClientID = t.clientID()
	p.ClientSecret = t.secret("secret", checkSecret, t.sources("client_secret")...)
	p.ClientSecretExpires = t.date("client_secret_expires")
	t.expires("client_secret_expires", "secret", p.ClientSecretExpires)
	p.ClientCertificate = t.certificate()
	p.ClientCertificateAlgorithm = t.oneOf("client_certificate_algorithm", "PS256", "PS256", "RS256")
	p.ClientAssertionFile = t.assertionFile()
	p.AuthStyle = t.oneOf("auth_style", "params", "params", "header")

	if p.Preset == "google" && p.Flow == "authorization_code" && len(t.given(proofs...)) == 0 {
		t.file.warn(t.place.at(), "%s has no client_secret: Google gives one to web and to desktop applications, and wants to see it", t.header())
	}
	t.needless("client_secret", variants("client_secret"), "client_secret_expires")
	t.needless("client_certificate", []string{"client_certificate"},
		"client_key_file", "client_key_credential", "client_certificate_algorithm")
}

// needless tells of the keys that mean nothing without one of the others, for
// which one name stands.
func (t *table) needless(without string, others []string, keys ...string) {
	if len(t.given(others...)) > 0 {
		return
	}
	for _, key := range t.given(keys...) {
		t.fault(key, "means nothing without a %s", without)
	}
}

// certificate reads the client's certificate and its private key, which is in
// the same file unless it has a source of its own.
func (t *table) certificate() *tls.Certificate {
	path, text, err := t.certificateFile()
	swapped := false
	keyText := t.secret("private key", func(key string) error {
		if swapped = isSwapped(text, key); swapped {
			return errors.New("the certificate is in it, and the private key is in the client_certificate: swap the two")
		}
		return checkKey(key)
	},
		source{"client_key_file", t.fileSecret},
		source{"client_key_credential", credentialSecret},
	).Reveal()
	apart := t.given("client_key_file", "client_key_credential")
	switch {
	case path == "" || swapped:
		return nil
	case err != nil:
		t.outside("client_certificate", "%v", err)
		return nil
	case len(apart) == 0 && !holdsKey(text):
		_, err = parseCertificates(text)
		err = cmp.Or(err, errors.New("there is no private key in it: name its file by client_key_file"))
	case len(apart) == 0:
		keyText, err = text, checkKey(text)
	case holdsKey(text):
		err = fmt.Errorf("there is a private key in it, and another by %s in line %d; keep one of the two", apart[0], t.line(apart[0]))
	}
	if err == nil {
		return t.keyPair(path, text, keyText)
	}
	t.outside("client_certificate", "%s: %v", path, err)
	return nil
}

// certificateFile reads the file of the certificate, if there is one.
func (t *table) certificateFile() (path, text string, err error) {
	path = t.filePath("client_certificate")
	if path == "" {
		return "", "", nil
	}
	text, err = t.file.readOther(path, holdsKey)
	return path, text, err
}

// keyPair returns the certificates of a file with the key of the first of them.
func (t *table) keyPair(path, text, keyText string) *tls.Certificate {
	pair := &tls.Certificate{}
	chain, err := parseCertificates(text)
	if err != nil {
		t.outside("client_certificate", "%s: %v", path, err)
		return nil
	}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	pair.Leaf = chain[0]
	t.expires("client_certificate", "certificate", pair.Leaf.NotAfter)
	key, err := parseKey(keyText)
	if err != nil {
		return nil // told already, or withheld
	}
	if public, ok := pair.Leaf.PublicKey.(*rsa.PublicKey); !ok || !public.Equal(&key.PublicKey) {
		t.outside("client_certificate", "%s: the private key does not belong to the first certificate in it", path)
		return nil
	}
	pair.PrivateKey = key
	return pair
}

// assertionFile reads the name of a file that is read anew for each token. It
// need not be there yet: what a workload is given may come after its start.
func (t *table) assertionFile() string {
	path := t.filePath("client_assertion_file")
	if path == "" {
		return ""
	}
	switch info, err := os.Stat(path); {
	case err != nil:
		t.file.warn(t.line("client_assertion_file"), "client_assertion_file: %v: there will be no tokens until it is there", reason(path, err))
	default:
		if err := t.file.checkWriters(path, info); err != nil {
			t.outside("client_assertion_file", "%v", err)
		}
	}
	return path
}
