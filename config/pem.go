package config

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// minKeyBits is the minimum size of an RSA key for RS256 and PS256 (RFC 7518 section
// 3.3).
const minKeyBits = 2048

// blocks returns the blocks of PEM text (RFC 7468), in order.
func blocks(text string) (all []*pem.Block) {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		all = append(all, block)
	}
	return all
}

func isKey(b *pem.Block) bool { return strings.HasSuffix(b.Type, "PRIVATE KEY") }

func isCertificate(b *pem.Block) bool { return b.Type == "CERTIFICATE" }

func holdsKey(text string) bool { return slices.ContainsFunc(blocks(text), isKey) }

// isSwapped reports whether certificate holds only a private key, and key only a
// certificate.
func isSwapped(certificate, key string) bool {
	only := func(text string, is, isNot func(*pem.Block) bool) bool {
		all := blocks(text)
		return slices.ContainsFunc(all, is) && !slices.ContainsFunc(all, isNot)
	}
	return only(certificate, isKey, isCertificate) && only(key, isCertificate, isKey)
}

// errNotPEM returns an error for text without the wanted PEM block. It says how to convert
// DER, which begins with a SEQUENCE and its length (ITU-T X.690).
func errNotPEM(text, what string) error {
	_, err := x509.ParseCertificate([]byte(text))
	switch {
	case !strings.HasPrefix(text, "\x30\x82") && !strings.HasPrefix(text, "\x30\x80"):
		return fmt.Errorf("holds no %s in PEM format", what)
	case err == nil:
		return errors.New(`is in DER format, not PEM; convert the certificate with "openssl x509 -inform der -in OLD -out NEW"`)
	case isDERKey(text):
		return errors.New(`is in DER format, not PEM; convert the private key with "openssl pkey -inform der -in OLD -out NEW"`)
	}
	return errors.New(`is not in PEM format; if it is a .pfx or .p12 file, convert it with "openssl pkcs12 -in OLD -nodes -out NEW"`)
}

func isDERKey(text string) bool {
	_, err1 := x509.ParsePKCS1PrivateKey([]byte(text))
	_, err8 := x509.ParsePKCS8PrivateKey([]byte(text))
	return err1 == nil || err8 == nil
}

// parseKey returns the RSA private key in PEM text. Its errors show nothing of the key.
func parseKey(text string) (*rsa.PrivateKey, error) {
	for _, b := range blocks(text) {
		if !isKey(b) {
			continue
		}
		parsed, err := decodeKey(b)
		if err != nil {
			return nil, err
		}
		key, ok := parsed.(*rsa.PrivateKey)
		switch {
		case !ok:
			return nil, errors.New("the private key is not an RSA key; create an RSA key")
		case key.N.BitLen() < minKeyBits:
			return nil, fmt.Errorf("the private key has %d bits, but RFC 7518 section 3.3 requires %d; create a longer one", key.N.BitLen(), minKeyBits)
		}
		return key, nil
	}
	return nil, errNotPEM(text, "private key")
}

// decodeKey parses a private key in PKCS #1, PKCS #8 or SEC 1. Its errors replace those of
// crypto/x509, which do not help the administrator.
func decodeKey(b *pem.Block) (key any, err error) {
	switch {
	case b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "": // RFC 1421 section 4.6.1.3
		return nil, errors.New(`the private key is encrypted; decrypt it with "openssl pkey -in OLD -out NEW"`)
	case b.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	case b.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case b.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	default:
		return nil, errors.New("TLS does not support this type of private key; create another")
	}
	if err != nil {
		return nil, errors.New("the private key is damaged; copy the whole file")
	}
	return key, nil
}

func checkKey(text string) error {
	_, err := parseKey(text)
	return err
}

// parseCertificates returns the certificates in PEM text, at least one.
func parseCertificates(text string) (all []*x509.Certificate, err error) {
	for _, b := range blocks(text) {
		if !isCertificate(b) {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, errors.New("a certificate is damaged; copy the whole file")
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errNotPEM(text, "certificate")
	}
	return all, nil
}
