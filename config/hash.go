package config

import "github.com/xoauthd/xoauthd/auth/password"

// passwordHash never shows what it reads: it may be a password.
func (t *table) passwordHash() string {
	text, ok := value[string](t, "password_hash")
	if !ok {
		return ""
	}
	hash, weakness, err := parseHash(text)
	switch {
	case err != nil:
		t.fault("password_hash", "%v", err)
	case weakness != "":
		t.file.warn(t.line("password_hash"), "password_hash: %s", weakness)
	}
	return hash
}

// parseHash is password.ParseHash, but for the hashes of examples.
func parseHash(text string) (hash, weakness string, err error) {
	if isElided(text) {
		return text, "", errSampleHash
	}
	return password.ParseHash(text)
}
