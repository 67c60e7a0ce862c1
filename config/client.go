package config

import (
	"cmp"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// client reads the client identifier and the client authentication of p (RFC 6749
// section 2.3). A client authenticates with a secret, with assertions signed by the key
// of a certificate, or with assertions from a file (both RFC 7523 section 2.2). A public
// client does not authenticate.
func (t *table) client(p *Provider) {
	methods := t.present("client_certificate", "client_assertion_file")
	if secrets := t.present(secretKeys("client_secret")...); len(secrets) > 0 {
		methods = append(methods, secrets[0])
	}
	t.atMostOne("client authentication", methods...)
	p.ClientID = t.clientID()
	p.ClientSecret = t.secret("secret", checkSecret, t.secretSources("client_secret")...)
	p.ClientSecretExpires = t.date("client_secret_expires")
	t.warnExpiry("client_secret_expires", "secret", p.ClientSecretExpires)
	p.ClientCertificate = t.certificate()
	p.ClientCertificateAlgorithm = oneOf(t, "client_certificate_algorithm", "PS256", "PS256", "RS256")
	p.ClientAssertionFile = t.assertionFile()
	p.AuthStyle = oneOf(t, "auth_style", "params", "params", "header")

	if p.Preset == "google" && p.Flow == flow.AuthorizationCode && len(t.present(clientAuthKeys...)) == 0 {
		t.file.warn(t.pos.line(), "%s has no client_secret: Google issues one to web and desktop applications, and requires it", t.header())
	}
	t.requires("client_secret", secretKeys("client_secret"), "client_secret_expires")
	t.requires("client_certificate", []string{"client_certificate"},
		"client_key_file", "client_key_credential", "client_certificate_algorithm")
}

// requires reports those of keys that are present although none of others is. The fault
// names other.
func (t *table) requires(other string, others []string, keys ...string) {
	if len(t.present(others...)) > 0 {
		return
	}
	for _, key := range t.present(keys...) {
		t.fault(key, "is not used without %s", other)
	}
}

// certificate reads the client certificate and its private key. The key is in the same
// file unless a key of the table names another source.
func (t *table) certificate() *tls.Certificate {
	path, text, err := t.certificateFile()
	swapped := false
	keyText := t.secret("private key", func(key string) error {
		if swapped = isSwapped(text, key); swapped {
			return errors.New("holds the certificate, and client_certificate holds the private key; swap the two")
		}
		return checkKey(key)
	},
		source{"client_key_file", t.secretFile},
		source{"client_key_credential", credentialSecret},
	).Reveal()
	keySources := t.present("client_key_file", "client_key_credential")
	switch {
	case path == "" || swapped:
		return nil
	case err != nil:
		t.externalFault("client_certificate", "%v", err)
		return nil
	case len(keySources) == 0 && !holdsKey(text):
		_, err = parseCertificates(text)
		err = cmp.Or(err, errors.New("holds no private key; set client_key_file to the file of the key"))
	case len(keySources) == 0:
		keyText, err = text, checkKey(text)
	case holdsKey(text):
		err = fmt.Errorf("holds a private key, but %s in line %d sets another; remove one of them", keySources[0], t.line(keySources[0]))
	}
	if err == nil {
		return t.keyPair(path, text, keyText)
	}
	t.externalFault("client_certificate", "%s: %v", path, err)
	return nil
}

// certificateFile reads the file of the client certificate, if the table names one.
func (t *table) certificateFile() (path, text string, err error) {
	path = t.filePath("client_certificate")
	if path == "" {
		return "", "", nil
	}
	text, err = t.file.readFile(path, holdsKey)
	return path, text, err
}

// keyPair returns the certificate chain in text with the private key in keyText. path is
// for faults.
func (t *table) keyPair(path, text, keyText string) *tls.Certificate {
	pair := &tls.Certificate{}
	chain, err := parseCertificates(text)
	if err != nil {
		t.externalFault("client_certificate", "%s: %v", path, err)
		return nil
	}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	pair.Leaf = chain[0]
	t.warnExpiry("client_certificate", "certificate", pair.Leaf.NotAfter)
	key, err := parseKey(keyText)
	if err != nil {
		return nil // already reported, or unavailable
	}
	if public, ok := pair.Leaf.PublicKey.(*rsa.PublicKey); !ok || !public.Equal(&key.PublicKey) {
		t.externalFault("client_certificate", "%s: the private key does not belong to the first certificate of the file", path)
		return nil
	}
	pair.PrivateKey = key
	return pair
}

// assertionFile reads the path of a file that the daemon reads for each token request.
// The file may be missing: a workload may receive it after the start.
func (t *table) assertionFile() string {
	path := t.filePath("client_assertion_file")
	if path == "" {
		return ""
	}
	switch info, err := os.Stat(path); {
	case err != nil:
		t.file.warn(t.line("client_assertion_file"), "client_assertion_file: %v; token requests fail until the file exists", pathError(path, err))
	default:
		if err := t.file.checkWriters(path, info); err != nil {
			t.externalFault("client_assertion_file", "%v", err)
		}
	}
	return path
}
