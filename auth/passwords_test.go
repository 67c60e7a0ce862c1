package auth

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/argon2id"
)

// cheap is a hash that costs next to nothing, for tests.
func cheap(t *testing.T, password string) string {
	t.Helper()
	h, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// logins makes one for each user name, whose account has that name.
func logins(hashes map[string]string) (all []Login) {
	for _, user := range slices.Sorted(maps.Keys(hashes)) {
		all = append(all, Login{Account: user, User: user, Hash: hashes[user]})
	}
	return all
}

// counted are Passwords that count the slow hashes.
func counted(t *testing.T, hashes map[string]string) (p *Passwords, count func() int) {
	t.Helper()
	p, err := NewPasswords(logins(hashes))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n := 0
	compare := p.compare
	p.compare = func(password, hash string) (bool, error) {
		mu.Lock()
		n++
		mu.Unlock()
		return compare(password, hash)
	}
	return p, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func TestHashPassword(t *testing.T) {
	h, err := HashPassword("secret")
	if err != nil || !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash = %s, %v", h, err)
	}
	p, err := NewPasswords(logins(map[string]string{"joe": h}))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := p.Check(t.Context(), Attempt{User: "joe", Password: "secret"}); l.Account != "joe" || err != nil {
		t.Errorf("login = %+v, %v", l, err)
	}
	for _, password := range []string{"", strings.Repeat("x", maxPassword+1)} {
		if h, err := HashPassword(password); err == nil {
			t.Errorf("a password of %d bytes is hashed: %s", len(password), h)
		}
	}
}

func TestCheck(t *testing.T) {
	long := strings.Repeat("x", maxPassword)
	p, count := counted(t, map[string]string{"Joe@Example.com": cheap(t, "secret"), "ann": cheap(t, "other"), "long": cheap(t, long)})
	tests := []struct {
		what, name, password string
		account              string // empty for ErrPassword
		hashes               int
	}{
		{"wrong", "ann", "secret", "", 1},
		{"wrong again", "ann", "secret", "", 1},
		{"unknown", "eve", "secret", "", 1},
		{"unknown again", "eve", "secret", "", 1},
		{"unknown, with the empty name", "", "secret", "", 1},
		{"right", "Joe@Example.com", "secret", "Joe@Example.com", 1},
		{"right again", "Joe@Example.com", "secret", "Joe@Example.com", 0},
		{"right, in another case", "joe@EXAMPLE.com", "secret", "Joe@Example.com", 0},
		{"right, but for its case", "joe@example.com", "Secret", "", 1},
		{"right, but for another account", "ann", "secret", "", 1},
		{"wrong, after right", "joe@example.com", "secre", "", 1},
		{"right, after wrong", "joe@example.com", "secret", "Joe@Example.com", 0},
		{"empty", "joe@example.com", "", "", 0},
		{"empty, of an unknown", "eve", "", "", 0},
		{"long", "long", long, "long", 1},
		{"too long", "long", long + "x", "", 0},
		{"too long, of an unknown", "eve", long + "x", "", 0},
	}
	for _, tt := range tests {
		before := count()
		l, err := p.Check(t.Context(), Attempt{User: tt.name, Password: tt.password})
		if l.Account != tt.account || (tt.account == "") != (err == ErrPassword) {
			t.Errorf("%s: login = %+v, %v", tt.what, l, err)
		}
		if n := count() - before; n != tt.hashes {
			t.Errorf("%s: %d hashes, want %d", tt.what, n, tt.hashes)
		}
	}
}

// An unknown name must not be told from a known one by the cost of its hash.
func TestUnknownNameCostsTheSame(t *testing.T) {
	params := func(p *Passwords) string {
		return p.nobody[:strings.LastIndex(p.nobody[:strings.LastIndex(p.nobody, "$")], "$")]
	}
	p, _ := counted(t, map[string]string{"joe": cheap(t, "a"), "ann": cheap(t, "b")})
	if got, want := params(p), "$argon2id$v=19$m=8,t=1,p=1"; got != want {
		t.Errorf("compared with %s, want %s", got, want)
	}
	p.compare = func(string, string) (bool, error) { return true, nil }
	if l, err := p.Check(t.Context(), Attempt{User: "eve", Password: "secret"}); l.Account != "" || err != ErrPassword {
		t.Errorf("an unknown name whose hash fits: login = %+v, %v", l, err)
	}
	p, _ = counted(t, nil)
	if got, want := params(p), "$argon2id$v=19$m=19456,t=2,p=1"; got != want {
		t.Errorf("without accounts compared with %s, want %s", got, want)
	}
}

func TestNewPasswordsRefuses(t *testing.T) {
	const salt, key = "c29tZXNhbHRzb21lc2FsdA", "RdescudvJCsgt3ub+b+dWRWJTmaaJObGRdescudvJCs"
	_, err := NewPasswords(logins(map[string]string{
		"plain":    "secret",
		"bcrypt":   "$2y$05$abcdefghijklmnopqrstuv",
		"argon2i":  "$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + key,
		"no pass":  "$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + key,
		"no lane":  "$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + key,
		"no salt":  "$argon2id$v=19$m=8,t=1,p=1$$" + key,
		"no key":   "$argon2id$v=19$m=8,t=1,p=1$" + salt + "$",
		"too wide": "$argon2id$v=19$m=4000000,t=1,p=1$" + salt + "$" + key,
		"too slow": "$argon2id$v=19$m=8,t=1000000,p=1$" + salt + "$" + key,
		"Joe":      cheap(t, "secret"),
		"joe":      cheap(t, "secret"),
	}))
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	want := []string{
		"Joe and joe differ only in case", "argon2i: ", "bcrypt: ", "no key: ", "no lane: ", "no pass: ", "no salt: ", "plain: ", "too slow: ", "too wide: ",
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("nothing is said of %s", w)
		}
	}
	if len(got) != len(want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), salt) {
		t.Errorf("err = %v", err)
	}
}

// So many hash at once as there are processors; the others wait, or leave.
func TestHashesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := counted(t, map[string]string{"joe": cheap(t, "secret")})
		slots, running, most := runtime.GOMAXPROCS(0), 0, 0
		var mu sync.Mutex
		p.compare = func(string, string) (bool, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return false, nil
		}
		var all sync.WaitGroup
		for range 3 * slots {
			all.Go(func() {
				if _, err := p.Check(t.Context(), Attempt{User: "joe", Password: "wrong"}); err != ErrPassword {
					t.Errorf("err = %v", err)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := p.Check(ctx, Attempt{User: "joe", Password: "secret"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Millisecond {
			t.Errorf("err = %v after %v", err, time.Since(start))
		}
		all.Wait()
		if most != slots {
			t.Errorf("%d at once, want %d", most, slots)
		}
	})
}

// Many clients that start together with the right password pay for few hashes.
func TestHerdOfRightPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, count := counted(t, map[string]string{"joe": cheap(t, "secret")})
		slow := p.compare
		p.compare = func(password, hash string) (bool, error) {
			time.Sleep(time.Second)
			return slow(password, hash)
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if l, err := p.Check(t.Context(), Attempt{User: "joe", Password: "secret"}); l.Account != "joe" || err != nil {
					t.Errorf("login = %+v, %v", l, err)
				}
			})
		}
		all.Wait()
		if n := count(); n > runtime.GOMAXPROCS(0) {
			t.Errorf("%d hashes", n)
		}
	})
}
