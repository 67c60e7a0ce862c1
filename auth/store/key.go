package store

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/xoauthd/xoauthd/internal/storekey"
)

// A Key encrypts grants with XChaCha20-Poly1305, whose nonces are long enough to be random.
// Printing or logging a Key shows its ID only.
type Key struct {
	id   string
	aead cipher.AEAD
}

// keyIDLabel separates the hash of the ID from other uses of the key.
const keyIDLabel = "xoauthd key id\x00"

// ParseKeys parses the keys in text, which has the format of package storekey.
func ParseKeys(text string) ([]Key, error) {
	parsed, err := storekey.Parse(text)
	keys := make([]Key, len(parsed))
	for i, key := range parsed {
		if keys[i].aead, err = chacha20poly1305.NewX(key); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte(keyIDLabel), key...))
		keys[i].id = hex.EncodeToString(sum[:4])
	}
	return keys, err
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
