package password

import (
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// fastHash returns an argon2id hash of password with minimal cost.
func fastHash(t testing.TB, password string) string {
	t.Helper()
	h, err := argon2idHash(password, 8, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// fastBcrypt returns a bcrypt hash of password with minimal cost.
func fastBcrypt(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestHash(t *testing.T) {
	h, err := Hash("secret")
	if err != nil || !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash = %s, %v", h, err)
	}
	if ok, err := verify("secret", h); !ok || err != nil {
		t.Errorf("verify = %t, %v; want true", ok, err)
	}
	for _, password := range []string{"", strings.Repeat("x", maxPassword+1)} {
		if h, err := Hash(password); err == nil {
			t.Errorf("Hash accepts a password of %d bytes: %s", len(password), h)
		}
	}
}

// TestVerify uses hashes of other programs: the password of those without a source is
// "correct horse".
func TestVerify(t *testing.T) {
	const horse = "correct horse"
	long := strings.Repeat("0123456789ab", maxBcryptPassword/12)
	twice := fastBcrypt(t, "ab")
	tests := []struct {
		name, password, hash string
		match                bool
	}{
		{"argon2id", "secret", fastHash(t, "secret"), true},
		{"argon2id, wrong", "Secret", fastHash(t, "secret"), false},
		{"argon2id from doveadm pw", horse, "$argon2id$v=19$m=65536,t=3,p=1$/gDEn7OEVBZ0XNjKC8purQ$a76OxOJggv7zdqUGOzDwdT8K/zC01cmj9QB2GaQAEvs", true},
		{"bcrypt from crypt_blowfish's tests", "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", true},
		{"bcrypt from doveadm pw", horse, "$2y$05$/P4VZGwo2P5Ziqoqj0bKJOpK3.UrIWipSTq.kHUQVM1ldpUOMEiQO", true},
		{"bcrypt from Python", horse, "$2b$05$OBs97oBI0qS7FXoFSbwc.OPsgt/awksnI5A1KSMZXpLK3y0rb0XUO", true},
		{"bcrypt, wrong", "U*V", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", false},
		{"bcrypt from htpasswd, $2y$", "ab", "$2y" + twice[3:], true},
		{"bcrypt, $2b$", "ab", "$2b" + twice[3:], true},
		{"bcrypt, longest password", long, fastBcrypt(t, long), true},
		{"bcrypt, password longer than bcrypt reads", long + "x", fastBcrypt(t, long), false},
		{"bcrypt, password with a zero byte", "ab\x00ab", twice, false},
		{"SHA-512-crypt from the specification", "Hello world!", "$6$saltstring$" + sha512crypt, true},
		{"SHA-512-crypt, wrong", "hello world!", "$6$saltstring$" + sha512crypt, false},
		{"SHA-512-crypt with rounds, from the specification", "Hello world!", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", true},
		{"SHA-512-crypt from openssl passwd -6", horse, "$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0", true},
		{"SHA-256-crypt from openssl passwd -5", horse, "$5$saltsalt$myjXcpMpE2Ofk7fj9hqyNYSn6lmWG4Mqnjx.KIRRr4/", true},
		{"SHA-256-crypt from doveadm pw", horse, "$5$6PIR5bW63fxu/U2T$/UeITRKVShn8/QbvuG7i7QqkmS3nqjejazeirFwFDC5", true},
		{"SHA-256-crypt with rounds, from crypt(3)", horse, "$5$rounds=1000$saltsalt$R6e4P8ccT9iMqkYg7Z8YtpId/lfsIfnuPkp8WXposU8", true},
		{"SHA-256-crypt, wrong", "correct", "$5$saltsalt$myjXcpMpE2Ofk7fj9hqyNYSn6lmWG4Mqnjx.KIRRr4/", false},
		{"yescrypt from crypt(3)", horse, yescryptHash, true},
		{"yescrypt, wrong", "correct", yescryptHash, false},
		{"yescrypt of the lowest cost, from crypt(3)", horse, "$y$j75$z7ztFz2FayrKI79/jEwlL.$Kz2tf5AUPvOmW3ZWch1MCXzbNCR9I3p7M1NoczKngQ1", true},
		{"yescrypt of a password that is not ASCII, from crypt(3)", "pass\u00fcword", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$wSIxuWtmSnqTM0ZSbpmPv0JO8.wSh57yu5oG/hGCIf1", true},
		{"yescrypt from yescrypt's tests", "test4", "$y$j8T$P9xODwGnzlle5VHuP1/qA1$bAd4BXv1GBqNQZFzR0Ey42/w0/DFmnFkX1fRpjalAO2", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseHash(tt.hash); err != nil {
				t.Fatal(err)
			}
			if match, err := verify(tt.password, tt.hash); match != tt.match || err != nil {
				t.Errorf("verify = %t, %v; want %t", match, err, tt.match)
			}
		})
	}
}

// yescryptHash is a hash of "correct horse" of the cost that Debian uses, from crypt(3)
// of libxcrypt.
const yescryptHash = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU79"

// sha512crypt is the digest of "Hello world!" with the salt "saltstring".
const sha512crypt = "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"

func TestParseHash(t *testing.T) {
	const (
		salt     = "c29tZXNhbHRzb21lc2FsdA"
		key      = "RdescudvJCsgt3ub+b+dWRWJTmaaJObGRdescudvJCs"
		blowfish = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	)
	argon := func(params, salt, key string) string { return "$argon2id$" + params + "$" + salt + "$" + key }
	for _, tt := range []struct{ name, hash, wantErr string }{
		{"a password", "secret", "not a password hash"},
		{"argon2id", argon("v=19$m=8,t=1,p=1", salt, key), ""},
		{"argon2id at the limits", argon("v=19$m=1048576,t=100,p=1", salt, key), ""},
		{"argon2id with too much memory", argon("v=19$m=1048577,t=1,p=1", salt, key), "memory"},
		{"argon2id with too many iterations", argon("v=19$m=8,t=101,p=1", salt, key), "iterations"},
		{"argon2id without iterations", argon("v=19$m=8,t=0,p=1", salt, key), "unusual"},
		{"argon2id without lanes", argon("v=19$m=8,t=1,p=0", salt, key), "unusual"},
		{"argon2id without salt and key", "$argon2id$v=19$m=8", "cut short"},
		{"argon2id of another version", argon("v=16$m=8,t=1,p=1", salt, key), "cut short"},
		{"argon2id with an unknown parameter", argon("v=19$m=8,t=1,p=1,x=1", salt, key), "cut short"},
		{"argon2id with a leading zero", argon("v=19$m=08,t=1,p=1", salt, key), "cut short"},
		{"argon2id without salt", argon("v=19$m=8,t=1,p=1", "", key), "unusual"},
		{"argon2id with a short salt", argon("v=19$m=8,t=1,p=1", salt[:8], key), "unusual"},
		{"argon2id with a long salt", argon("v=19$m=8,t=1,p=1", strings.Repeat("c29t", 22), key), "unusual"},
		{"argon2id with a key of 16 bytes", argon("v=19$m=8,t=1,p=1", salt, salt), ""},
		{"argon2id with a key of 8 bytes", argon("v=19$m=8,t=1,p=1", salt, "c29tZXNhbHQ"), "unusual"},
		{"argon2id with a truncated key", argon("v=19$m=8,t=1,p=1", salt, key[:len(key)-3]), "cut short"},
		{"argon2id with a key of 72 bytes", argon("v=19$m=8,t=1,p=1", salt, strings.Repeat("c29t", 24)), "unusual"},
		{"argon2id without a key", argon("v=19$m=8,t=1,p=1", salt, ""), "cut short"},
		{"argon2i", "$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + key, "argon2i hash"},
		{"bcrypt with the lowest cost", "$2y$04$" + blowfish, ""},
		{"bcrypt with the highest cost", "$2a$14$" + blowfish, ""},
		{"bcrypt above the highest cost", "$2b$15$" + blowfish, "bcrypt cost"},
		{"bcrypt below the lowest cost", "$2b$03$" + blowfish, "cut short"},
		{"bcrypt, $2x$", "$2x$10$" + blowfish, "obsolete"},
		{"bcrypt, truncated", "$2b$10$" + blowfish[1:], "cut short"},
		{"bcrypt with trailing text", "$2b$10$" + blowfish + "x", "cut short"},
		{"SHA-512-crypt", "$6$saltstring$" + sha512crypt, ""},
		{"SHA-512-crypt with the fewest rounds", "$6$rounds=1000$saltstring$" + sha512crypt, ""},
		{"SHA-512-crypt below the fewest rounds", "$6$rounds=999$saltstring$" + sha512crypt, "rounds"},
		{"SHA-512-crypt with the most rounds", "$6$rounds=1000000$saltstring$" + sha512crypt, ""},
		{"SHA-512-crypt above the most rounds", "$6$rounds=1000001$saltstring$" + sha512crypt, "rounds"},
		{"SHA-512-crypt with an overflowing number of rounds", "$6$rounds=99999999999999999999$saltstring$" + sha512crypt, "cut short"},
		{"SHA-512-crypt without salt", "$6$$" + sha512crypt, "cut short"},
		{"SHA-512-crypt, truncated", "$6$saltstring$" + sha512crypt[1:], "cut short"},
		{"SHA-256-crypt", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", ""},
		{"SHA-256-crypt with the digest of SHA-512-crypt", "$5$saltstring$" + sha512crypt, "cut short"},
		{"SHA-256-crypt above the most rounds", "$5$rounds=1000001$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "rounds"},
		{"yescrypt", yescryptHash, ""},
		{"yescrypt, truncated", yescryptHash[:len(yescryptHash)-1], "cut short"},
		{"yescrypt with trailing text", yescryptHash + ".", "cut short"},
		{"yescrypt with a changed last letter", yescryptHash[:len(yescryptHash)-1] + "z", "cut short"},
		{"yescrypt with other flags", strings.Replace(yescryptHash, "$j", "$.", 1), "cut short"},
		{"yescrypt with parallelism", strings.Replace(yescryptHash, "$j9T", "$j9T/.", 1), "cut short"},
		{"yescrypt of the highest cost", strings.Replace(yescryptHash, "$j9T", "$jCT", 1), ""},
		{"yescrypt above the highest cost", strings.Replace(yescryptHash, "$j9T", "$jDT", 1), "256 MiB"},
		{"yescrypt with huge blocks", strings.Replace(yescryptHash, "$j9T", "$j9z", 1), "unusual"},
		{"yescrypt of too low a cost", strings.Replace(yescryptHash, "$j9T", "$j6T", 1), "unusual"},
		{"yescrypt without salt", "$y$j9T$$" + yescryptHash[30:], "cut short"},
		{"yescrypt with a short salt", "$y$j7.$////$WXGIKO.4sthsRPnpY0/.OhyrlEkLcS1pymEGTbJA/l.", "unusual"},
		{"yescrypt with a damaged salt", strings.Replace(yescryptHash, "..1$", "...z$", 1), "unusual"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hash, _, err := ParseHash(tt.hash)
			switch {
			case tt.wantErr == "" && (err != nil || hash != tt.hash):
				t.Errorf("hash = %s, %v", hash, err)
			case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
				t.Errorf("err = %v, want %q", err, tt.wantErr)
			}
		})
	}
}

// TestDummyHash checks the cost of dummy hashes and that verify can compute them.
func TestDummyHash(t *testing.T) {
	for _, c := range []cost{
		{kindArgon2id, 1, 8, 1},
		{kind: kindBcrypt, iterations: bcrypt.MinCost},
		{kind: kindSHA512, iterations: minRounds},
		{kind: kindSHA512, iterations: defaultRounds},
		{kind: kindSHA256, iterations: minRounds},
		{kind: kindYescrypt, iterations: minYescryptN, memory: 1},
		{kind: kindYescrypt, iterations: 12, memory: maxYescryptR},
	} {
		h := dummyHash(c)
		if got, err := parseHash(h); got != c || err != nil {
			t.Errorf("%s costs %v, %v; want %v", h, got, err, c)
		}
		if match, err := verify("secret", h); match || err != nil {
			t.Errorf("%s: verify = %t, %v", h, match, err)
		}
		if again := dummyHash(c); again == h {
			t.Errorf("two dummy hashes are equal: %s", h)
		}
	}
}
