package auth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"
)

// cheap is a hash that costs next to nothing, for tests.
func cheap(t testing.TB, password string) string {
	t.Helper()
	h, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// cheapBcrypt is such a hash of bcrypt.
func cheapBcrypt(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestHashPassword(t *testing.T) {
	h, err := HashPassword("secret")
	if err != nil || !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash = %s, %v", h, err)
	}
	if ok, err := compareHash("secret", h); !ok || err != nil {
		t.Errorf("the password is not right: %v", err)
	}
	for _, password := range []string{"", strings.Repeat("x", maxPassword+1)} {
		if h, err := HashPassword(password); err == nil {
			t.Errorf("a password of %d bytes is hashed: %s", len(password), h)
		}
	}
}

// The hashes of SHA-512-crypt are of its specification and of openssl passwd, the
// first of bcrypt is a test vector of crypt_blowfish.
func TestCompareHash(t *testing.T) {
	long := strings.Repeat("0123456789ab", maxBcryptPassword/12)
	twice := cheapBcrypt(t, "ab")
	tests := []struct {
		name, password, hash string
		right                bool
	}{
		{"argon2id", "secret", cheap(t, "secret"), true},
		{"argon2id, wrong", "Secret", cheap(t, "secret"), false},
		{"bcrypt", "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", true},
		{"bcrypt, wrong", "U*V", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", false},
		{"bcrypt of htpasswd", "ab", "$2y" + twice[3:], true},
		{"bcrypt of others", "ab", "$2b" + twice[3:], true},
		{"bcrypt, as long as can be", long, cheapBcrypt(t, long), true},
		{"bcrypt, longer than it looks at", long + "x", cheapBcrypt(t, long), false},
		{"bcrypt, the same as it repeats its key", "ab\x00ab", twice, false},
		{"SHA-512-crypt", "Hello world!", "$6$saltstring$" + sha512crypt, true},
		{"SHA-512-crypt, wrong", "hello world!", "$6$saltstring$" + sha512crypt, false},
		{"SHA-512-crypt with rounds", "Hello world!", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseHash(tt.hash); err != nil {
				t.Fatal(err)
			}
			if right, err := compareHash(tt.password, tt.hash); right != tt.right || err != nil {
				t.Errorf("right = %t, %v", right, err)
			}
		})
	}
}

// sha512crypt is of "Hello world!", with the salt "saltstring".
const sha512crypt = "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"

func TestParseHashRefuses(t *testing.T) {
	const salt, key = "c29tZXNhbHRzb21lc2FsdA", "RdescudvJCsgt3ub+b+dWRWJTmaaJObGRdescudvJCs"
	const blowfish = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	tests := []struct{ name, hash, want string }{
		{"a password", "secret", "not of"},
		{"argon2i", "$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + key, "not of"},
		{"no pass", "$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + key, "weak"},
		{"no lane", "$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + key, "weak"},
		{"no salt", "$argon2id$v=19$m=8,t=1,p=1$$" + key, "weak"},
		{"no key", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$", "weak"},
		{"no parts", "$argon2id$v=19$m=8", "cut short"},
		{"key cut short", "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + key[:len(key)-3], "cut short"},
		{"more behind the parameters", "$argon2id$v=19$m=8,t=1,p=1,x=1$" + salt + "$" + key, "cut short"},
		{"too much memory", "$argon2id$v=19$m=4000000,t=1,p=1$" + salt + "$" + key, "costly"},
		{"too many passes", "$argon2id$v=19$m=8,t=1000000,p=1$" + salt + "$" + key, "costly"},
		{"bcrypt cut short", "$2y$05$" + blowfish[1:], "cut short"},
		{"bcrypt with more behind", "$2y$05$" + blowfish + "x", "cut short"},
		{"bcrypt of the faulty kind", "$2x$05$" + blowfish, "cut short"},
		{"bcrypt of no cost", "$2y$03$" + blowfish, "cut short"},
		{"bcrypt of too much", "$2y$15$" + blowfish, "costly"},
		{"SHA-256-crypt", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", "not of"},
		{"SHA-512-crypt cut short", "$6$saltstring$" + sha512crypt[1:], "cut short"},
		{"SHA-512-crypt without salt", "$6$$" + sha512crypt, "cut short"},
		{"SHA-512-crypt with too few rounds", "$6$rounds=999$saltstring$" + sha512crypt, "cut short"},
		{"SHA-512-crypt with too many", "$6$rounds=1000001$saltstring$" + sha512crypt, "costly"},
		{"SHA-512-crypt with more than a number", "$6$rounds=99999999999999999999$saltstring$" + sha512crypt, "cut short"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseHash(tt.hash)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %s", err, tt.want)
			}
		})
	}
}

// A decoy costs what it is to cost, and can be compared with.
func TestNoPassword(t *testing.T) {
	for _, c := range []cost{
		{kindArgon2id, 1, 8, 1},
		{kind: kindBcrypt, passes: bcrypt.MinCost},
		{kind: kindSHA512, passes: minSHA512Rounds},
		{kind: kindSHA512, passes: defaultSHA512Rounds},
	} {
		h := noPassword(c)
		if got, err := parseHash(h); got != c || err != nil {
			t.Errorf("%s costs %v, %v; want %v", h, got, err, c)
		}
		if right, err := compareHash("secret", h); right || err != nil {
			t.Errorf("%s: right = %t, %v", h, right, err)
		}
		if again := noPassword(c); again == h {
			t.Errorf("two are the same: %s", h)
		}
	}
}

func TestBudget(t *testing.T) {
	argon, weak := cost{kindArgon2id, 2, 19456, 1}, cost{kindArgon2id, 1, 8, 1}
	blow := cost{kind: kindBcrypt, passes: 10}
	many := []budget{{argon: 10}, {argon: 1, blow: 1}, {blow: 7}, {weak: 1}}
	tests := []struct {
		name  string
		names []budget
		want  budget
	}{
		{"of no names is that of a new hash", nil, budget{argon: 1}},
		{"of names that cost the same is that of each", []budget{{weak: 1}, {weak: 1}}, budget{weak: 1}},
		{"is that of the name with the most logins", []budget{{blow: 1}, {blow: 3}, {blow: 2}}, budget{blow: 3}},
		{"covers every cost", []budget{{blow: 1}, {argon: 2}, {argon: 1, blow: 1}}, budget{blow: 1, argon: 2}},
		{"is bounded, and leaves out what is rare", many, budget{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := newBudget(tt.names)
			if len(tt.want) > 0 {
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("budget = %v, want %v", got, tt.want)
				}
				return
			}
			if sum := got[argon] + got[blow]; sum != maxHashes || got[weak] != 0 {
				t.Errorf("budget = %v", got)
			}
		})
	}
}
