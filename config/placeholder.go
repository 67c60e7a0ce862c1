package config

import (
	"errors"
	"slices"
	"strings"
)

// samples are what stands in place of a client's id in examples: those of
// example.toml and README.md, and those that people write into their own.
var samples = []string{"...", "…", "<", ">", "your-client", "your_client", "yourclient", "xxxx", "changeme", "abcdefghijklmnop", "01234567-89ab-cdef"}

// isSample reports whether an id is one of an example and not of a provider.
func isSample(id string) bool {
	id = strings.ToLower(id)
	return slices.ContainsFunc(samples, func(s string) bool { return strings.Contains(id, s) })
}

// isElided reports whether a secret or a hash is shortened, as examples show them.
func isElided(s string) bool { return strings.Contains(s, "...") || strings.Contains(s, "…") }

var (
	errSampleClient = errors.New("is the placeholder of an example: register xoauthd with the provider, as README.md says, and write the id that the provider gives")
	errSampleSecret = errors.New("is the placeholder of an example: write the secret that the provider gives, or name its file by client_secret_file")
	errSampleHash   = errors.New(`is the placeholder of an example: make one with "xoauthd hash-password"`)
)

// clientID reads the id of a client.
func (t *table) clientID() string {
	id := t.text("client_id", "")
	if isSample(id) {
		t.fault("client_id", "%v", errSampleClient)
	}
	return id
}
