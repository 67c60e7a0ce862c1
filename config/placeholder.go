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
	errPlaceholderClient = errors.New("is the placeholder of an example: register xoauthd with the provider, as README.md says, and write the id that the provider gives")
	errPlaceholderSecret = errors.New("is the placeholder of an example: write the secret that the provider gives, or name its file by client_secret_file")
	errPlaceholderHash   = errors.New(`is the placeholder of an example: make one with "xoauthd hash-password"`)
)

func (t *table) clientID() string {
	id := t.text("client_id", "")
	if isPlaceholder(id) {
		t.fault("client_id", "%v", errPlaceholderClient)
	}
	return id
}
