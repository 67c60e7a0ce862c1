package auth

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

// logins makes one for each user name, whose account has that name.
func logins(hashes map[string]string) (all []Login) {
	for _, user := range slices.Sorted(maps.Keys(hashes)) {
		all = append(all, Login{Account: user, User: user, Hash: hashes[user]})
	}
	return all
}

// counted are Passwords that count the slow hashes.
func counted(t testing.TB, logins []Login) (p *Passwords, hashes *atomic.Int32) {
	t.Helper()
	p, err := NewPasswords(logins, nil)
	if err != nil {
		t.Fatal(err)
	}
	hashes = new(atomic.Int32)
	compare := p.compare
	p.compare = func(password, hash string) (bool, error) {
		hashes.Add(1)
		return compare(password, hash)
	}
	return p, hashes
}

func TestCheck(t *testing.T) {
	long := strings.Repeat("x", maxPassword)
	p, count := counted(t, logins(map[string]string{"Joe@Example.com": cheap(t, "secret"), "ann": cheap(t, "other"), "long": cheap(t, long)}))
	tests := []struct {
		what, name, password string
		account              string // of the login that is told
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
		p.guesses = newGuesses()
		for _, tt := range tests {
			count.Store(0)
			l, err := p.Check(t.Context(), Attempt{User: tt.name, Password: tt.password})
			if l.Account != tt.account || !errors.Is(err, tt.err) || (err != nil) != errors.Is(err, ErrPassword) {
				t.Errorf("%s: login = %+v, %v", tt.what, l, err)
			}
			if n := int(count.Load()); n != tt.hashes {
				t.Errorf("%s: %d hashes, want %d", tt.what, n, tt.hashes)
			}
		}
	})
}

// Several programs use one user name, each with a password of its own.
func TestLoginsOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, count := counted(t, []Login{
			{Account: "joe", Label: "phone", User: "joe", Hash: cheap(t, "one")},
			{Account: "joe", Label: "laptop", User: "Joe", Hash: cheap(t, "two")},
			{Account: "joe", Label: "old", User: "JOE", Hash: cheapBcrypt(t, "three")},
			{Account: "ann", Label: "only", User: "ann", Hash: cheap(t, "one")},
		})
		for _, tt := range []struct {
			name, password string
			label          string
			err            error
			hashes         int32
		}{
			{"joe", "one", "phone", nil, 3},
			{"joe", "two", "laptop", nil, 3},
			{"joe", "three", "old", nil, 3},
			{"joe", "one", "phone", nil, 0},
			{"joe", "three", "old", nil, 0},
			{"joe", "two", "laptop", nil, 0},
			{"joe", "four", "", errWrongPassword, 3},
			{"ann", "two", "only", errWrongPassword, 3},
			{"ann", "one", "only", nil, 3},
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

// What must not come in costs what a wrong password does, each time, and says why
// to the log alone.
func TestConditions(t *testing.T) {
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
		want     string // empty: it comes in
	}{
		{"no condition", Login{}, "imap", "192.0.2.1", ""},
		{"not enabled", Login{Disabled: true}, "imap", "", `login "scanner" is of an account that is not enabled`},
		{"another provider", Login{Provider: "two"}, "imap", "", `login "scanner" is of provider two, and this listener serves one alone`},
		{"the protocol", Login{Protocols: []string{"pop3", "smtp"}}, "smtp", "", ""},
		{"another protocol", Login{Protocols: []string{"pop3", "smtp"}}, "imap", "", `login "scanner" may not speak imap`},
		{"a network", Login{Networks: prefixes("10.0.0.0/8", "192.0.2.0/24")}, "imap", "192.0.2.1", ""},
		{"another network", Login{Networks: prefixes("192.0.2.0/24")}, "imap", "192.0.3.1", `login "scanner" may not come from 192.0.3.1`},
		{"a network, as IPv6 writes it", Login{Networks: prefixes("192.0.2.0/24")}, "imap", "::ffff:192.0.2.1", ""},
		{"a link", Login{Networks: prefixes("fe80::/10")}, "imap", "fe80::1%eth0", ""},
		{"this machine, by IPv4", Login{Networks: prefixes("127.0.0.0/8")}, "imap", "", ""},
		{"this machine, by IPv6", Login{Networks: prefixes("::1/128")}, "imap", "", ""},
		{"not this machine", Login{Networks: prefixes("192.0.2.0/24")}, "imap", "", `login "scanner" may not come from this machine`},
		{"before the end", Login{Ends: time.Date(2000, 1, 1, 0, 0, 1, 0, time.UTC)}, "imap", "", ""},
		{"at the end", Login{Ends: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}, "imap", "", `login "scanner" ended on 1999-12-31`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // it is midnight, at the beginning of 2000
				tt.login.User, tt.login.Label, tt.login.Hash = "joe", "scanner", cheap(t, "secret")
				tt.login.Provider = cmp.Or(tt.login.Provider, "one")
				p, count := counted(t, []Login{tt.login})
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
					case tt.want != "" && (!errors.Is(err, ErrPassword) || err.Error() != tt.want):
						t.Errorf("err = %v, want %s", err, tt.want)
					}
				}
				want := int32(1) // and then it is recognized
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

// Conditions are looked at each time, also of a password that is recognized, and
// of two logins with one password the one counts that may come in.
func TestConditionsOfRecognized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := counted(t, []Login{
			{Label: "old", User: "joe", Hash: cheap(t, "secret"), Ends: time.Now().Add(time.Hour)},
			{Label: "mail", User: "joe", Hash: cheap(t, "secret"), Protocols: []string{"imap"}},
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

// An unknown name must not be told from a known one by the cost of its hashes,
// nor be let in by one of them.
func TestUnknownNameCostsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPasswords([]Login{
			{User: "joe", Hash: cheap(t, "a")},
			{User: "joe", Hash: cheap(t, "b")},
			{User: "ann", Hash: cheap(t, "c")},
			{User: "bob", Hash: cheapBcrypt(t, "d")},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		spent := budget{}
		p.compare = func(_, hash string) (bool, error) {
			c, err := parseHash(hash)
			spent[c]++
			return !strings.HasPrefix(hash, kindArgon2id), err
		}
		want := fmt.Sprint(budget{{kindArgon2id, 1, 8, 1}: 2, {kind: kindBcrypt, passes: 4}: 1})
		for _, user := range []string{"joe", "ann", "bob", "eve"} {
			clear(spent)
			_, err := p.Check(t.Context(), Attempt{User: user, Password: "secret"})
			if fmt.Sprint(spent) != want || (err == nil) != (user == "bob") {
				t.Errorf("%s costs %v, want %s; err = %v", user, spent, want, err)
			}
		}
	})
}

func TestNewPasswordsRefuses(t *testing.T) {
	hash := cheap(t, "secret")
	all := []Login{
		{Account: "a", User: "plain", Hash: "secret"},
		{Account: "Joe", User: "Joe", Hash: hash},
		{Account: "joe", User: "joe", Hash: hash},
	}
	for range maxHashes + 1 {
		all = append(all, Login{Account: "ann", User: "ann", Hash: hash})
	}
	_, err := NewPasswords(all, nil)
	want := "plain: the password hash is not of argon2id, bcrypt or SHA-512-crypt: make one with xoauthd hash-password\n" +
		"joe: user name of two accounts, Joe and joe\n" +
		"ann: 16 passwords are the most for a user name"
	if err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}

// So many hash at once as there are processors; the others wait, or leave.
func TestHashesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := counted(t, logins(map[string]string{"joe": cheap(t, "secret")}))
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
		for i := range 3 * slots {
			all.Go(func() {
				if _, err := p.Check(t.Context(), Attempt{User: fmt.Sprint(i), Password: "wrong"}); !errors.Is(err, ErrPassword) {
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

// Many clients that start together with the right password pay for one hash,
// wherever they are.
func TestHerdOfRightPasswords(t *testing.T) {
	for _, from := range []netip.Addr{{}, netip.MustParseAddr("192.0.2.1")} {
		synctest.Test(t, func(t *testing.T) {
			p, count := counted(t, logins(map[string]string{"joe": cheap(t, "secret")}))
			slow := p.compare
			p.compare = func(password, hash string) (bool, error) {
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
