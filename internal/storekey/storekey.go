// Package storekey has the text format of the keys that encrypt grants. It imports nothing
// of this module, so every package may import it.
package storekey

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	// prefix identifies a key, for people and for scanners for leaked secrets. The key
	// follows in base64 (RFC 4648 section 5, without padding).
	prefix = "xoauthd-key-"

	// size is the length of a key in bytes.
	size = 32
)

// ErrNone is the error for a text without keys.
var ErrNone = errors.New(`holds no key; restore the key from a backup if grants are encrypted with it, or create one with "xoauthd make-key"`)

// New returns the text of a new random key, on one line.
func New() string {
	key := make([]byte, size)
	rand.Read(key) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(key)
}

// Parse returns the keys in text: one a line, or several on a line with spaces between
// them. Lines that begin with # are comments. It returns at least one key or an error. The
// error names the line without quoting it.
func Parse(text string) ([][]byte, error) {
	var keys [][]byte
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, word := range strings.Fields(line) {
			encoded, found := strings.CutPrefix(word, prefix)
			key, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
			if !found || err != nil || len(key) != size {
				return nil, fmt.Errorf(`line %d is not a key; create one with "xoauthd make-key"`, number)
			}
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, ErrNone
	}
	return keys, nil
}
