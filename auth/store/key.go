package store

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// A Key encrypts grants with XChaCha20-Poly1305, whose nonces are long enough to be random.
// Printing or logging a Key shows its ID only.
type Key struct {
	id   string
	aead cipher.AEAD
}

const (
	// keyPrefix identifies a key, for people and for scanners for leaked secrets.
	keyPrefix = "xoauthd-key-"

	// keyIDLabel separates the hash of the ID from other uses of the key.
	keyIDLabel = "xoauthd key id\x00"
)

// NewKey returns the text of a new random key, on one line.
func NewKey() string {
	key := make([]byte, chacha20poly1305.KeySize)
	rand.Read(key) // never fails
	return keyPrefix + base64.RawURLEncoding.EncodeToString(key)
}

// ParseKeys parses keys of NewKey: one a line, or several on a line with spaces between
// them. Lines that begin with # are comments. The error names the line without quoting it.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, word := range strings.Fields(line) {
			k, err := parseKey(word)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

var errNoKeys = errors.New(`no key in it; make one with "xoauthd make-key"`)

func parseKey(text string) (Key, error) {
	encoded, found := strings.CutPrefix(text, keyPrefix)
	key, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !found || err != nil || len(key) != chacha20poly1305.KeySize {
		return Key{}, errors.New(`not a key that "xoauthd make-key" has made`)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return Key{}, err
	}
	sum := sha256.Sum256(append([]byte(keyIDLabel), key...))
	return Key{hex.EncodeToString(sum[:4]), aead}, nil
}

// ID identifies the key in files, logs and messages, and reveals nothing of it.
func (k Key) ID() string { return k.id }

// Format writes the ID for every verb.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.id) }

// seal encrypts data. Only open with the same context decrypts it.
func (k Key) seal(data, context []byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(data)+chacha20poly1305.Overhead)
	rand.Read(nonce)
	return k.aead.Seal(nonce, nonce, data, context)
}

func (k Key) open(sealed, context []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, errors.New("too short")
	}
	nonce, data := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	return k.aead.Open(nil, nonce, data, context)
}
