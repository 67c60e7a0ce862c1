package config

import (
	"errors"
	"slices"
	"strings"
)

// placeholders are parts of client ids in examples: those of example.toml and the
// documentation, and common ones.
var placeholders = []string{"...", "…", "<", ">", "your-client", "your_client", "yourclient", "xxxx", "changeme", "abcdefghijklmnop", "01234567-89ab-cdef"}

// isPlaceholder reports whether a client id comes from an example.
func isPlaceholder(id string) bool {
	id = strings.ToLower(id)
	return slices.ContainsFunc(placeholders, func(s string) bool { return strings.Contains(id, s) })
}

// isElided reports whether a secret or a hash contains an ellipsis, as in examples.
func isElided(s string) bool { return strings.Contains(s, "...") || strings.Contains(s, "…") }

var (
	errPlaceholderClient = errors.New("is a placeholder; register xoauthd with the provider, and write the client id that the provider issues (see README.md)")
	errPlaceholderSecret = errors.New("is a placeholder; write the secret that the provider issued, or set client_secret_file")
	errPlaceholderHash   = errors.New(`is a placeholder; create a hash with "xoauthd hash-password"`)
)

func (t *table) clientID() string {
	id := t.text("client_id", "")
	if isPlaceholder(id) {
		t.fault("client_id", "%v", errPlaceholderClient)
	}
	return id
}
