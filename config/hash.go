package config

import "github.com/xoauthd/xoauthd/auth/password"

// passwordHash reads a password hash. Its faults never show the value, which may be a
// password.
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

// parseHash is password.ParseHash, with an error for the placeholder of an example.
func parseHash(text string) (hash, weakness string, err error) {
	if isElided(text) {
		return text, "", errPlaceholderHash
	}
	return password.ParseHash(text)
}
