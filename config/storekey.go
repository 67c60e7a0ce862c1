package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// The format of "xoauthd make-key": keyLength bytes in base64, after keyPrefix.
const (
	keyPrefix = "xoauthd-key-"
	keyLength = 32
)

// checkKeys returns an error, without the keys, if text is not a list of store keys.
func checkKeys(text string) error {
	number, keys := 0, 0
	for line := range strings.Lines(text) {
		number++
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, word := range strings.Fields(line) {
			encoded, found := strings.CutPrefix(word, keyPrefix)
			key, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
			if !found || err != nil || len(key) != keyLength {
				return fmt.Errorf(`line %d is not a key; create one with "xoauthd make-key"`, number)
			}
			keys++
		}
	}
	if keys == 0 {
		return errors.New(`holds no key; restore the key from a backup if grants are encrypted with it, or create one with "xoauthd make-key"`)
	}
	return nil
}
