package password

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// logins returns a Login for each user name, with an account of the same name.
func logins(hashes map[string]string) (all []Login) {
	for _, user := range slices.Sorted(maps.Keys(hashes)) {
		all = append(all, Login{Account: user, User: user, Hash: hashes[user]})
	}
	return all
}

// newCountingChecker returns a Checker for logins and the number of its slow hashes.
func newCountingChecker(t testing.TB, logins []Login) (c *Checker, hashes *atomic.Int32) {
	t.Helper()
	c, err := New(logins, nil)
	if err != nil {
		t.Fatal(err)
	}
	hashes = new(atomic.Int32)
	verify := c.verify
	c.verify = func(password, hash string) (bool, error) {
		hashes.Add(1)
		return verify(password, hash)
	}
	return c, hashes
}

func TestCheck(t *testing.T) {
	long := strings.Repeat("x", maxPassword)
	p, count := newCountingChecker(t, logins(map[string]string{"Joe@Example.com": fastHash(t, "secret"), "ann": fastHash(t, "other"), "long": fastHash(t, long)}))
	tests := []struct {
		what, name, password string
		account              string // account of the returned login
		err                  error
		hashes               int
	}{
		{"wrong", "ann", "secret", "ann", errWrongPassword, 1},
		{"wrong again", "ann", "secret", "ann", errWrongPassword, 1},
		{"unknown", "eve", "secret", "", errUnknownUser, 1},
		{"unknown again", "eve", "secret", "", errUnknownUser, 1},
		{"unknown, with the empty name", "", "secret", "", errUnknownUser, 1},
		{"right", "Joe@Example.com", "secret", "Joe@Example.com", nil, 1},
		{"right again", "Joe@Example.com", "secret", "Joe@Example.com", nil, 0},
		{"right, in another case", "joe@EXAMPLE.com", "secret", "Joe@Example.com", nil, 0},
		{"right, but for its case", "joe@example.com", "Secret", "Joe@Example.com", errWrongPassword, 1},
		{"right, but for another account", "ann", "secret", "ann", errWrongPassword, 1},
		{"wrong, after right", "joe@example.com", "secre", "Joe@Example.com", errWrongPassword, 1},
		{"right, after wrong", "joe@example.com", "secret", "Joe@Example.com", nil, 0},
		{"empty", "joe@example.com", "", "Joe@Example.com", errWrongPassword, 0},
		{"empty, of an unknown", "eve", "", "", errUnknownUser, 0},
		{"long", "long", long, "long", nil, 1},
		{"too long", "long", long + "x", "long", errWrongPassword, 0},
		{"too long, of an unknown", "eve", long + "x", "", errUnknownUser, 0},
	}
	synctest.Test(t, func(t *testing.T) {
		p.throttle = newThrottle()
		for _, tt := range tests {
			count.Store(0)
			l, err := p.Check(t.Context(), Attempt{User: tt.name, Password: tt.password})
			if l.Account != tt.account || !errors.Is(err, tt.err) || (err != nil) != errors.Is(err, ErrRefused) {
				t.Errorf("%s: login = %+v, %v", tt.what, l, err)
			}
			if n := int(count.Load()); n != tt.hashes {
				t.Errorf("%s: %d hashes, want %d", tt.what, n, tt.hashes)
			}
		}
	})
}

// TestLoginsOfOneName checks several logins with one user name and different passwords.
func TestLoginsOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, count := newCountingChecker(t, []Login{
			{Account: "joe", Label: "phone", User: "joe", Hash: fastHash(t, "one")},
			{Account: "joe", Label: "laptop", User: "Joe", Hash: fastHash(t, "two")},
			{Account: "joe", Label: "old", User: "JOE", Hash: fastBcrypt(t, "three")},
			{Account: "ann", Label: "only", User: "ann", Hash: fastHash(t, "one")},
		})
		for _, tt := range []struct {
			name, password string
			label          string
			err            error
			hashes         int32
		}{
			{"joe", "one", "phone", nil, 1},
			{"joe", "two", "laptop", nil, 2},
			{"joe", "three", "old", nil, 3},
			{"joe", "one", "phone", nil, 0},
			{"joe", "three", "old", nil, 0},
			{"joe", "two", "laptop", nil, 0},
			{"joe", "four", "", errWrongPassword, 3},
			{"ann", "two", "only", errWrongPassword, 3},
			{"ann", "one", "only", nil, 1},
			{"ann", "one", "only", nil, 0},
			{"eve", "one", "", errUnknownUser, 3},
		} {
			count.Store(0)
			l, err := p.Check(t.Context(), Attempt{User: tt.name, Password: tt.password})
			if l.Label != tt.label || !errors.Is(err, tt.err) || (l.Account == "") != (tt.err == errUnknownUser) {
				t.Errorf("%s, %s: login = %+v, %v", tt.name, tt.password, l, err)
			}
			if n := count.Load(); n != tt.hashes {
				t.Errorf("%s, %s: %d hashes, want %d", tt.name, tt.password, n, tt.hashes)
			}
		}
	})
}

// TestLimits checks that a login outside its limits costs as much as a wrong password
// each time, and that the error names the reason.
func TestLimits(t *testing.T) {
	prefixes := func(all ...string) (ps []netip.Prefix) {
		for _, s := range all {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	tests := []struct {
		name     string
		login    Login
		protocol string
		from     string
		want     string // text of the error; empty for success
	}{
		{"no limits", Login{}, "imap", "192.0.2.1", ""},
		{"disabled", Login{Disabled: true}, "imap", "", `login "scanner": the account is disabled`},
		{"other provider", Login{Provider: "two"}, "imap", "", `login "scanner": the account belongs to provider two, but this listener serves only one`},
		{"allowed protocol", Login{Protocols: []string{"pop3", "smtp"}}, "smtp", "", ""},
		{"other protocol", Login{Protocols: []string{"pop3", "smtp"}}, "imap", "", `login "scanner": protocol imap is not allowed`},
		{"allowed network", Login{Networks: prefixes("10.0.0.0/8", "192.0.2.0/24")}, "imap", "192.0.2.1", ""},
		{"other network", Login{Networks: prefixes("192.0.2.0/24")}, "imap", "192.0.3.1", `login "scanner": address 192.0.3.1 is not allowed`},
		{"allowed network, IPv4-mapped address", Login{Networks: prefixes("192.0.2.0/24")}, "imap", "::ffff:192.0.2.1", ""},
		{"link-local address", Login{Networks: prefixes("fe80::/10")}, "imap", "fe80::1%eth0", ""},
		{"this machine as 127.0.0.0/8", Login{Networks: prefixes("127.0.0.0/8")}, "imap", "", ""},
		{"this machine as ::1", Login{Networks: prefixes("::1/128")}, "imap", "", ""},
		{"this machine not allowed", Login{Networks: prefixes("192.0.2.0/24")}, "imap", "", `login "scanner": this machine is not allowed`},
		{"before the expiry", Login{Ends: time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC)}, "imap", "", ""},
		{"at the expiry", Login{Ends: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}, "imap", "", `login "scanner": expired after 1999-12-31`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the fake clock starts at 2000-01-01 00:00:00 UTC
				tt.login.User, tt.login.Label, tt.login.Hash = "joe", "scanner", fastHash(t, "secret")
				tt.login.Provider = cmp.Or(tt.login.Provider, "one")
				p, count := newCountingChecker(t, []Login{tt.login})
				a := Attempt{Protocol: tt.protocol, Provider: "one", User: "joe", Password: "secret"}
				if tt.from != "" {
					a.From = netip.MustParseAddr(tt.from)
				}
				for range 2 {
					l, err := p.Check(t.Context(), a)
					switch {
					case l.Label != "scanner":
						t.Errorf("login = %+v", l)
					case tt.want == "" && err != nil:
						t.Error(err)
					case tt.want != "" && (!errors.Is(err, ErrRefused) || err.Error() != tt.want):
						t.Errorf("err = %v, want %s", err, tt.want)
					}
				}
				want := int32(1) // the second attempt is cached
				if tt.want != "" {
					want = 2
				}
				if n := count.Load(); n != want {
					t.Errorf("%d hashes, want %d", n, want)
				}
			})
		})
	}
}

// TestLimitsOfCached checks that limits apply to cached passwords, too, and that of two
// logins with the same password the allowed one counts.
func TestLimitsOfCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newCountingChecker(t, []Login{
			{Label: "old", User: "joe", Hash: fastHash(t, "secret"), Ends: time.Now().Add(time.Hour)},
			{Label: "mail", User: "joe", Hash: fastHash(t, "secret"), Protocols: []string{"imap"}},
		})
		check := func(protocol, label string, allowed bool) {
			t.Helper()
			l, err := p.Check(t.Context(), Attempt{Protocol: protocol, User: "joe", Password: "secret"})
			if l.Label != label || (err == nil) != allowed {
				t.Errorf("%s: login = %+v, %v", protocol, l, err)
			}
		}
		check("imap", "old", true)
		check("smtp", "old", true)
		time.Sleep(time.Hour)
		check("imap", "mail", true)
		check("smtp", "old", false)
	})
}

// TestEqualizeCosts checks that a wrong password costs the same hashes for all user
// names, known and unknown, and that a match of a dummy hash is no login.
func TestEqualizeCosts(t *testing.T) {
	a, b, m := fastHash(t, "a"), fastHash(t, "b"), fastBcrypt(t, "c")
	const argon, blow = "$argon2id$", "$2a$04$"
	many := func(user string, n int, hash string) (all []Login) {
		for range n {
			all = append(all, Login{Account: user, User: user, Hash: hash})
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		logins []Login
		want   map[string]int // number of hashes by prefix
	}{
		{"no logins", nil, map[string]int{argon: 1}},
		{"one cost", logins(map[string]string{"joe": a, "ann": b}), map[string]int{argon: 1}},
		{"several logins of one name", append(many("joe", 3, a), many("ann", 1, b)...), map[string]int{argon: 3}},
		{"two costs", append(many("joe", 2, a), many("ann", 1, m)...), map[string]int{argon: 2, blow: 1}},
		{"two costs for one name", append(append(many("joe", 2, a), many("joe", 1, m)...), many("ann", 3, b)...), map[string]int{argon: 3, blow: 1}},
		{"too many hashes: the rarer cost is left out", append(append(append(many("joe", 16, a), many("ann", 1, b)...), many("eve", 1, b)...), many("bob", 2, m)...), map[string]int{argon: 16}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := New(tt.logins, nil)
			if err != nil {
				t.Fatal(err)
			}
			spent := make(map[string]int)
			p.verify = func(_, hash string) (bool, error) {
				spent[hash[:strings.Index(hash[1:], "$")+2]]++
				_, err := parseHash(hash)
				return false, err
			}
			for _, user := range []string{"joe", "ann", "nobody"} {
				clear(spent)
				_, err := p.Check(t.Context(), Attempt{User: user, Password: "wrong"})
				got := make(map[string]int)
				for prefix, n := range spent {
					if strings.HasPrefix(prefix, "$2") {
						prefix = blow
					}
					got[prefix] += n
				}
				if !maps.Equal(got, tt.want) || !errors.Is(err, ErrRefused) {
					t.Errorf("%s costs %v, want %v; err = %v", user, got, tt.want, err)
				}
			}
			p.verify = func(_, hash string) (bool, error) { return true, nil }
			if _, err := p.Check(t.Context(), Attempt{User: "nobody", Password: "x"}); !errors.Is(err, ErrRefused) {
				t.Errorf("nobody: err = %v", err)
			}
		})
	}
}

func TestNewInvalid(t *testing.T) {
	hash := fastHash(t, "secret")
	all := []Login{
		{Account: "a", User: "plain", Hash: "secret"},
		{Account: "Joe", User: "Joe", Hash: hash},
		{Account: "joe", User: "joe", Hash: hash},
	}
	for range MaxHashes + 1 {
		all = append(all, Login{Account: "ann", User: "ann", Hash: hash})
	}
	_, err := New(all, nil)
	want := "plain: the password hash is not a password hash; if it is the password itself, make a hash of it with \"xoauthd hash-password\"\n" +
		"joe: two accounts, Joe and joe, have this user name\n" +
		"ann: more than 16 passwords for one user name"
	if err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}

// TestConcurrentHashes checks that each processor computes one hash at a time, and that
// waiting attempts can be canceled.
func TestConcurrentHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newCountingChecker(t, logins(map[string]string{"joe": fastHash(t, "secret")}))
		slots, running, most := runtime.GOMAXPROCS(0), 0, 0
		var mu sync.Mutex
		p.verify = func(string, string) (bool, error) {
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
		for i := range 3 * slots {
			all.Go(func() {
				if _, err := p.Check(t.Context(), Attempt{User: fmt.Sprint(i), Password: "wrong"}); !errors.Is(err, ErrRefused) {
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
			t.Errorf("%d hashes at once, want %d", most, slots)
		}
	})
}

// TestSimultaneousLogins checks that many simultaneous logins with the correct password
// cost one hash.
func TestSimultaneousLogins(t *testing.T) {
	for _, from := range []netip.Addr{{}, netip.MustParseAddr("192.0.2.1")} {
		synctest.Test(t, func(t *testing.T) {
			p, count := newCountingChecker(t, logins(map[string]string{"joe": fastHash(t, "secret")}))
			slow := p.verify
			p.verify = func(password, hash string) (bool, error) {
				time.Sleep(time.Second)
				return slow(password, hash)
			}
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if l, err := p.Check(t.Context(), Attempt{User: "joe", Password: "secret", From: from}); l.Account != "joe" || err != nil {
						t.Errorf("login = %+v, %v", l, err)
					}
				})
			}
			all.Wait()
			if n := count.Load(); n != 1 {
				t.Errorf("%d hashes", n)
			}
		})
	}
}
