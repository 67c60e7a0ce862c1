package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/config"
)

// What the configuration takes for a password hash can be compared with, and the
// other way round: neither package imports the other.
func TestHashesOfBoth(t *testing.T) {
	good, err := auth.HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	const (
		salt     = "c29tZXNhbHRzb21lc2FsdA"
		key      = "RdescudvJCsgt3ub+b+dWRWJTmaaJObGRdescudvJCs"
		blowfish = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
		sha512   = "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
	)
	argon := func(params, salt, key string) string {
		return "$argon2id$" + params + "$" + salt + "$" + key
	}
	for _, tt := range []struct {
		name, hash string
		taken      bool
	}{
		{"a new hash", good, true},
		{"argon2id", argon("v=19$m=8,t=1,p=1", salt, key), true},
		{"argon2id of the most that is allowed", argon("v=19$m=1048576,t=100,p=1", salt, key), true},
		{"argon2id with too much memory", argon("v=19$m=1048577,t=1,p=1", salt, key), false},
		{"argon2id with too many passes", argon("v=19$m=8,t=101,p=1", salt, key), false},
		{"argon2id without a pass", argon("v=19$m=8,t=0,p=1", salt, key), false},
		{"argon2id without a lane", argon("v=19$m=8,t=1,p=0", salt, key), false},
		{"argon2id of another version", argon("v=16$m=8,t=1,p=1", salt, key), false},
		{"argon2id with more behind its parameters", argon("v=19$m=8,t=1,p=1,x=1", salt, key), false},
		{"argon2id with zeros before a parameter", argon("v=19$m=08,t=1,p=1", salt, key), false},
		{"argon2id with a short salt", argon("v=19$m=8,t=1,p=1", salt[:8], key), false},
		{"argon2id with a long salt", argon("v=19$m=8,t=1,p=1", strings.Repeat("c29t", 22), key), false},
		{"argon2id with a key of 16 bytes", argon("v=19$m=8,t=1,p=1", salt, salt), true},
		{"argon2id with a key of 8 bytes", argon("v=19$m=8,t=1,p=1", salt, "c29tZXNhbHQ"), false},
		{"argon2id whose key is cut", argon("v=19$m=8,t=1,p=1", salt, key[:len(key)-3]), false},
		{"argon2id with a key of 72 bytes", argon("v=19$m=8,t=1,p=1", salt, strings.Repeat("c29t", 24)), false},
		{"argon2id without a key", argon("v=19$m=8,t=1,p=1", salt, ""), false},
		{"argon2i", "$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + key, false},
		{"bcrypt of the least cost", "$2y$04$" + blowfish, true},
		{"bcrypt of the most", "$2a$14$" + blowfish, true},
		{"bcrypt of more", "$2b$15$" + blowfish, false},
		{"bcrypt of less", "$2b$03$" + blowfish, false},
		{"bcrypt of a kind given up", "$2x$10$" + blowfish, false},
		{"bcrypt that is cut", "$2b$10$" + blowfish[1:], false},
		{"SHA-512-crypt", "$6$saltstring$" + sha512, true},
		{"SHA-512-crypt of the fewest rounds", "$6$rounds=1000$saltstring$" + sha512, true},
		{"SHA-512-crypt of fewer", "$6$rounds=999$saltstring$" + sha512, false},
		{"SHA-512-crypt of the most", "$6$rounds=1000000$saltstring$" + sha512, true},
		{"SHA-512-crypt of more", "$6$rounds=1000001$saltstring$" + sha512, false},
		{"SHA-512-crypt without a salt", "$6$$" + sha512, false},
		{"SHA-512-crypt with a long salt", "$6$saltstringsaltstr$" + sha512, false},
		{"SHA-256-crypt", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", false},
		{"a password", "secret", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := loadHash(t, tt.hash); (err == nil) != tt.taken {
				t.Errorf("config: %v", err)
			}
			if _, err := auth.NewPasswords([]auth.Login{{Account: "joe", User: "joe", Hash: tt.hash}}, nil); (err == nil) != tt.taken {
				t.Errorf("auth: %v", err)
			}
		})
	}
}

// loadHash reads a configuration of one account, with that password hash.
func loadHash(t *testing.T, hash string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "xoauthd.toml")
	text := `state_directory = "state"
[[listener]]
protocol = "imap"
address = "127.0.0.1:1143"
[provider.one]
client_id = "x"
authorization_url = "https://login.example.com/authorize"
token_url = "https://login.example.com/token"
redirect_url = "http://localhost/callback"
scopes = ["mail"]
imap = { host = "imap.example.com" }
[account."joe@example.com"]
provider = "one"
password_hash = "` + hash + "\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(file)
	return err
}
