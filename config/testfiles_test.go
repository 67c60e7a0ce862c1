package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"sync"
	"testing"
	"time"
)

// today is the current time in tests of expiry.
var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// The tests generate keys: keys in the source would look like leaked ones.
var (
	testKey  = sync.OnceValues(generateTestKey)
	otherKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	shortKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 1024) })
	curveKey = sync.OnceValues(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
)

// generateTestKey returns a key whose DER form does not end with a line break. Load
// removes line breaks at the end of a secret, and would not recognize key.der.
func generateTestKey() (*rsa.PrivateKey, error) {
	for {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		if last := der[len(der)-1]; last != '\n' && last != '\r' {
			return key, nil
		}
	}
}

// must returns the value of a call that must not fail.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func block(blockType string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
}

// certificate returns a self-signed certificate of testKey.
func certificate(t *testing.T, from, to time.Time) string {
	t.Helper()
	key := must[*rsa.PrivateKey](t)(testKey())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "xoauthd"},
		NotBefore:    from,
		NotAfter:     to,
	}
	return block("CERTIFICATE", must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)))
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	return block("PRIVATE KEY", must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key)))
}

func toJSON(t *testing.T, v map[string]any) string {
	t.Helper()
	return string(must[[]byte](t)(json.Marshal(v)))
}

// testFiles returns the generated files that the configurations in testdata name.
func testFiles(t *testing.T) map[string]string {
	t.Helper()
	key := must[*rsa.PrivateKey](t)(testKey())
	good := certificate(t, today.AddDate(-1, 0, 0), today.AddDate(1, 0, 0))
	own := pkcs8(t, key)
	account := map[string]any{
		"type": "service_account", "private_key_id": "kid", "private_key": own,
		"client_email": "robot@project.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
	}
	changed := func(key string, value any) string {
		defer func(old any) { account[key] = old }(account[key])
		account[key] = value
		return toJSON(t, account)
	}
	der := func(text string) string {
		block, _ := pem.Decode([]byte(text))
		return string(block.Bytes)
	}
	all := map[string]string{
		"both.pem":        good + own,
		"public.both.pem": good + own,
		"chain.pem":       good + good,
		"expired.pem":     certificate(t, today.AddDate(-2, 0, 0), today.AddDate(0, 0, -10)) + own,
		"ending.pem":      certificate(t, today.AddDate(-2, 0, 0), today.AddDate(0, 0, 30)) + own,
		"certificate.der": der(good),
		"key.der":         der(own),
		"both.pfx":        "\x30\x82\x09\x00\x02\x01\x03hunter", // as PKCS #12 begins
		"pkcs1.key":       block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
		"public.pem.key":  own,
		"other.key":       pkcs8(t, must[*rsa.PrivateKey](t)(otherKey())),
		"short.key":       pkcs8(t, must[*rsa.PrivateKey](t)(shortKey())),
		"curve.key":       pkcs8(t, must[*ecdsa.PrivateKey](t)(curveKey())),
		"encrypted.key":   block("ENCRYPTED PRIVATE KEY", []byte("hunter")),
		"damaged.key":     block("PRIVATE KEY", []byte("hunter")),
		"damaged.pem":     block("CERTIFICATE", []byte("hunter")) + own,

		"service.json":    toJSON(t, account),
		"external.json":   `{"type": "external_account", "audience": "hunter"}`,
		"user.json":       `{"type": "authorized_user", "refresh_token": "hunter"}`,
		"no_email.json":   changed("client_email", ""),
		"no_key.json":     changed("private_key", "hunter"),
		"no_token.json":   changed("token_uri", ""),
		"http_token.json": changed("token_uri", "http://hunter.example.com/token"),
	}
	maps.Copy(all, serverFiles(t))
	return all
}

// serverFiles returns the generated files of server certificates.
func serverFiles(t *testing.T) map[string]string {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(curveKey())
	caKey := must[*rsa.PrivateKey](t)(otherKey())
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: today.AddDate(-9, 0, 0), NotAfter: today.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	issuer := block("CERTIFICATE", must[[]byte](t)(x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)))
	issue := func(from, to time.Time, names ...string) string {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: from, NotAfter: to, DNSNames: names}
		return block("CERTIFICATE", must[[]byte](t)(x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)))
	}
	last, next := today.AddDate(-1, 0, 0), today.AddDate(1, 0, 0)
	good := issue(last, next, "localhost")
	sec1 := block("EC PRIVATE KEY", must[[]byte](t)(x509.MarshalECPrivateKey(key)))
	return map[string]string{
		"server.pem":         good + issuer,
		"server.key":         "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + sec1,
		"server.both":        sec1 + good,
		"public.server.both": sec1 + good,
		"server.expired":     issue(last, today.AddDate(0, 0, -10), "localhost") + sec1,
		"server.early":       issue(today.AddDate(0, 0, 10), next, "localhost") + sec1,
		"server.unnamed":     issue(last, next) + sec1,
		"server.reversed":    issuer + good + sec1,
		"server.stray":       good + certificate(t, last, next) + sec1,
		"openssh.key":        block("OPENSSH PRIVATE KEY", []byte("hunter")),
	}
}
