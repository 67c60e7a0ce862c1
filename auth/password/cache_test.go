package password

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// saved returns the state that c saves, or "" if c has nothing to save.
func saved(t *testing.T, c *Checker) (text string) {
	t.Helper()
	if err := c.Save(func(data []byte) error {
		text = string(data)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return text
}

// TestCachePerHost checks that a cached password is valid only for its host.
func TestCachePerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, hashes := newFakeChecker(t)
		for _, tt := range []struct {
			client Attempt
			hashes int32
		}{
			{from(8), 1}, {from(8), 0}, {from(9), 1}, {from(9), 0}, {fromAddr("192.0.2.1"), 1}, {fromAddr("192.0.2.2"), 1},
			{fromAddr("192.0.2.1"), 0}, {from(8), 0},
			{fromAddr("2001:db8::1"), 1}, {fromAddr("2001:db8::ff"), 0}, {Attempt{}, 1}, {fromAddr("127.0.0.1"), 0},
		} {
			hashes.Store(0)
			logIn(t, c, tt.client, time.Second)
			if n := hashes.Load(); n != tt.hashes {
				t.Errorf("from %+v: %d hashes, want %d", tt.client, n, tt.hashes)
			}
		}
	})
}

// TestCacheLimit checks that a login keeps maxHosts hosts and still accepts evicted
// ones.
func TestCacheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, hashes := newFakeChecker(t)
		host := func(i int) Attempt { return Attempt{From: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})} }
		for i := range maxHosts + 1 {
			logIn(t, c, host(i), time.Second)
		}
		for _, tt := range []struct {
			host   int
			hashes int32
		}{{maxHosts, 0}, {1, 0}, {0, 1}, {0, 0}, {1, 1}} {
			hashes.Store(0)
			logIn(t, c, host(tt.host), time.Second)
			if n := hashes.Load(); n != tt.hashes {
				t.Errorf("%d: %d hashes, want %d", tt.host, n, tt.hashes)
			}
		}
		if n := strings.Count(saved(t, c), `"10.0.`); n != maxSavedHosts {
			t.Errorf("%d hosts are saved, want %d", n, maxSavedHosts)
		}
	})
}

func TestSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newFakeChecker(t)
		if got := saved(t, c); got != "" {
			t.Errorf("saved %s before the first login", got)
		}
		c.Check(t.Context(), from(8).with("joe", "wrong"))
		if got := saved(t, c); got != "" {
			t.Errorf("saved %s after a wrong password", got)
		}
		logIn(t, c, from(8), time.Second)
		errDisk := errors.New("disk full")
		if err := c.Save(func([]byte) error { return errDisk }); err != errDisk {
			t.Errorf("err = %v", err)
		}
		first := saved(t, c)
		if !strings.Contains(first, `"hosts":["uid 8"]`) || strings.Contains(first, "joe") {
			t.Errorf("saved %s", first)
		}
		logIn(t, c, from(8), time.Second)
		if got := saved(t, c); got != "" {
			t.Errorf("saved %s without a change", got)
		}
		logIn(t, c, from(9), time.Second)
		if got := saved(t, c); !strings.Contains(got, `"hosts":["uid 9","uid 8"]`) {
			t.Errorf("saved %s", got)
		}
	})
}

// TestRestore checks that a restored password is likely for the same login, and that
// Restore ignores removed logins and logins with a new hash.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, _ := newFakeChecker(t)
		logIn(t, before, from(8), time.Second)
		data := saved(t, before)
		checker := func(user, hash string) *Checker {
			c, err := New(logins(map[string]string{user: hash}), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Restore([]byte(data)); err != nil {
				t.Fatal(err)
			}
			return c
		}
		for _, tt := range []struct {
			name   string
			c      *Checker
			a      Attempt
			likely bool
		}{
			{"the same login", checker("joe", hash), from(8).with("joe", "secret"), true},
			{"the same user name in another case", checker("JOE", hash), from(8).with("Joe", "secret"), true},
			{"another host", checker("joe", hash), from(9).with("joe", "secret"), false},
			{"another hash", checker("joe", fastHash(t, "secret")), from(8).with("joe", "secret"), false},
			{"another user name", checker("ann", hash), from(8).with("ann", "secret"), false},
		} {
			host, _ := hostOf(tt.a)
			u := tt.c.users[foldUser(tt.a.User)]
			found, likely := tt.c.cached(u, host, tt.a)
			if found != nil || likely != tt.likely {
				t.Errorf("%s: found = %v, likely = %t", tt.name, found, likely)
			}
		}
		// A hint has hintValues values.
		c := checker("joe", hash)
		likely := 0
		const guesses = 16_000
		for i := range guesses {
			if _, l := c.cached(c.users["joe"], "uid 8", from(8).with("joe", fmt.Sprint(i))); l {
				likely++
			}
		}
		if likely < guesses/hintValues/2 || likely > 2*guesses/hintValues {
			t.Errorf("%d of %d guesses are likely", likely, guesses)
		}
		// Save omits logins that no longer exist.
		c = checker("ann", hash)
		logIn := from(8).with("ann", "secret")
		c.verify = func(string, string) (bool, error) { return true, nil }
		if _, err := c.Check(t.Context(), logIn); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(saved(t, c), `"hint"`); n != 1 {
			t.Errorf("%d logins are saved, want 1", n)
		}
	})
}

func TestRestoreInvalid(t *testing.T) {
	key := `"key":"` + strings.Repeat("A", 43) + `="`
	for _, tt := range []struct{ name, data, want string }{
		{"empty", "", "damaged"},
		{"truncated", `{"version":1,` + key, "damaged"},
		{"no key", `{"version":1,"logins":{}}`, "damaged"},
		{"a short key", `{"version":1,"key":"AAAA","logins":{}}`, "damaged"},
		{"another format", `{"version":2,` + key + `}`, "format 2"},
	} {
		c, _ := newFakeChecker(t)
		key := bytes.Clone(c.keys.hint)
		if err := c.Restore([]byte(tt.data)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: err = %v, want %s", tt.name, err, tt.want)
		}
		if !bytes.Equal(c.keys.hint, key) {
			t.Errorf("%s: Restore replaced the key", tt.name)
		}
	}
	c, _ := newFakeChecker(t)
	for _, login := range []string{`{"hint":3}`, `{"hosts":["uid 8"]}`, `{"hint":200,"hosts":["uid 8"]}`} {
		l := c.users["joe"].logins[0]
		if err := c.Restore([]byte(`{"version":1,` + key + `,"logins":{"` + l.id + `":` + login + `}}`)); err != nil {
			t.Error(err)
		}
		c.cached(c.users["joe"], "uid 8", from(8).with("joe", "secret")) // must not panic
	}
}
