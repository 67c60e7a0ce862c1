package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/race"
)

// The tests of this file check the guarantees about guesses in SECURITY.md under the
// attacks below.

// hashTime is the duration of a hash in these tests.
const hashTime = 20 * time.Millisecond

// hash is the password hash of all logins. The fake verify does not read it.
const hash = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGRdescudvJCs"

// newFakeChecker returns a Checker for joe and ann, both with the password "secret",
// and the number of its hashes. Each hash takes hashTime.
func newFakeChecker(t testing.TB) (c *Checker, hashes *atomic.Int32) {
	t.Helper()
	c, err := New(logins(map[string]string{"joe": hash, "ann": hash}), nil)
	if err != nil {
		t.Fatal(err)
	}
	hashes = new(atomic.Int32)
	c.verify = func(password, _ string) (bool, error) {
		hashes.Add(1)
		time.Sleep(hashTime)
		return password == "secret", nil
	}
	return c, hashes
}

// forget empties the cache of c.
func (c *Checker) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.users {
		for _, l := range u.logins {
			l.cachedPassword = cachedPassword{}
		}
	}
}

// from returns an attempt of the local user uid.
func from(uid uint32) Attempt {
	return Attempt{From: netip.MustParseAddr("127.0.0.1"), UID: uid, HasUID: true}
}

func fromAddr(s string) Attempt { return Attempt{From: netip.MustParseAddr(s)} }

func (a Attempt) with(user, password string) Attempt {
	a.User, a.Password = user, password
	return a
}

// An attack guesses passwords on several connections at once. A reply takes roundTrip,
// and a session takes at most logInTime.
type attack struct {
	name        string
	connections int
	guess       func(connection int) Attempt // origin and user name of a guess
	hangUp      time.Duration                // the attacker closes the session after this time; 0 waits for the reply
	hosts       int                          // number of hosts that attack at once
	sources     int                          // number of sources in all
}

// many is the number of sources of an attack that uses a new source for each guess.
const many = 1 << 20

const (
	roundTrip = 20 * time.Millisecond
	logInTime = 28 * time.Second
)

// run attacks c until stop is called. All guesses are different.
func (a attack) run(c *Checker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var number atomic.Int64
	for i := range a.connections {
		all.Go(func() {
			for ctx.Err() == nil {
				wait := logInTime
				if a.hangUp > 0 {
					wait = a.hangUp
				}
				session, closeSession := context.WithTimeout(ctx, wait)
				guess := a.guess(i)
				guess.Password = fmt.Sprint("guess ", number.Add(1))
				c.Check(session, guess)
				closeSession()
				time.Sleep(roundTrip)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

func named(user string, from Attempt) func(int) Attempt {
	return func(int) Attempt { return from.with(user, "") }
}

func randomNames(from Attempt) func(int) Attempt {
	return func(int) Attempt { return from.with(rand.Text(), "") }
}

// addressPerConnection returns a guess from a separate address for each connection.
func addressPerConnection(i int) Attempt {
	return Attempt{From: netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), User: "joe"}
}

// addressPerGuess returns guesses that all come from different /48 networks.
func addressPerGuess() func(int) Attempt {
	var n atomic.Uint32
	return func(int) Attempt {
		i := n.Add(1)
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 4: byte(i >> 8), 5: byte(i), 15: 1}
		a[1] = byte(i >> 16)
		return Attempt{From: netip.AddrFrom16(a), User: "joe"}
	}
}

// attacks returns the attacks that the guarantees are tested with. The attacker is the
// local user 1001 or comes from 192.0.2.66, and knows the user name joe.
func attacks() []attack {
	site := func(i int) Attempt {
		return Attempt{User: "joe", From: netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 6: byte(i >> 8), 7: byte(i), 15: 1})}
	}
	const soon = time.Millisecond
	return []attack{
		{"a user, one connection", 1, named("joe", from(1001)), 0, 1, 1},
		{"a user, 100 connections", 100, named("joe", from(1001)), 0, 1, 1},
		{"a user, does not wait", 40, named("joe", from(1001)), soon, 1, 1},
		{"a user, random names", 100, randomNames(from(1001)), 0, 1, many},
		{"a user, random names, does not wait", 40, randomNames(from(1001)), soon, 1, many},
		{"unknown users of this machine", 100, named("joe", Attempt{}), 0, 1, 1},
		{"an address", 100, named("joe", fromAddr("192.0.2.66")), 0, 1, 1},
		{"an address, does not wait", 40, named("joe", fromAddr("192.0.2.66")), soon, 1, 1},
		{"an address, random names", 100, randomNames(fromAddr("192.0.2.66")), 0, 1, 1},
		{"a site of IPv6", 100, site, 0, 1, 1},
		{"100 addresses", 100, addressPerConnection, 0, 100, 100},
		{"100 addresses, do not wait", 100, addressPerConnection, soon, 100, 100},
		{"another address for each guess", 100, addressPerGuess(), 0, 100, many},
	}
}

// TestOtherLoginsAreNotDelayed checks guarantee 1 of SECURITY.md: an attacker delays a
// login from another origin by at most one hash for each attacking user and address.
func TestOtherLoginsAreNotDelayed(t *testing.T) {
	for _, attack := range attacks() {
		t.Run(attack.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newFakeChecker(t)
				stop := attack.run(c)
				defer stop()
				within := time.Duration(attack.hosts/runtime.GOMAXPROCS(0)+2) * hashTime
				for _, client := range []Attempt{from(8), fromAddr("192.0.2.1"), fromAddr("2001:db8:ffff::1")} {
					for i := range 20 {
						c.forget()
						time.Sleep(time.Duration(i) * time.Millisecond)
						start := time.Now()
						_, err := c.Check(t.Context(), client.with("joe", "secret"))
						if took := time.Since(start); err != nil || took > within {
							t.Fatalf("login %d from %v: err = %v after %v, want none within %v", i, client.From, err, took, within)
						}
					}
				}
			})
		})
	}
}

// TestGuessesAreDelayed checks guarantee 2 of SECURITY.md: after three wrong passwords,
// xoauthd checks passwords from the same source at intervals that grow to 5 seconds,
// and from all such sources together at most 20 passwords a second for one user name.
// Under the race detector the attacks are shorter; "make test" runs it without, too.
func TestGuessesAreDelayed(t *testing.T) {
	long := 20 * time.Second
	if race.Enabled {
		long = 5 * time.Second
	}
	source := freeFailures + maxPoints + int32(long/lastDelay)
	name := int32(long / nameDelay)
	for _, attack := range attacks() {
		if attack.sources == many { // each source has freeFailures guesses
			continue
		}
		most := int32(source)
		if attack.sources > 1 {
			most = int32(attack.sources)*freeFailures + name
		}
		t.Run(attack.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, hashes := newFakeChecker(t)
				stop := attack.run(c)
				defer stop()
				time.Sleep(long)
				if n := hashes.Load(); n > most || n == 0 {
					t.Errorf("%d guesses were hashed in %v, want at most %d", n, long, most)
				}
			})
		})
	}
}

// TestCachedPasswordUnderAttack checks guarantee 3 of SECURITY.md: xoauthd accepts a
// cached password from the same origin at once, and after a restart it checks the
// password before all others from there. One in 16 guesses from the same origin also
// precedes the others, so the guarantee holds for up to 320 guesses a second from there.
func TestCachedPasswordUnderAttack(t *testing.T) {
	for _, attack := range attacks() {
		t.Run(attack.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				same := attack
				same.connections = min(same.connections, 4)
				checkCached(t, same, attack.guess(0), time.Second)
				within := time.Duration(attack.hosts/runtime.GOMAXPROCS(0)+2) * hashTime
				checkCached(t, attack, from(8), within)
				checkCached(t, attack, fromAddr("192.0.2.1"), within)
			})
		})
	}
}

// checkCached checks that client logs in at once during the attack a, and within the given
// time after a restart.
func checkCached(t *testing.T, a attack, client Attempt, within time.Duration) {
	t.Helper()
	before, _ := newFakeChecker(t)
	logIn(t, before, client, hashTime)
	stop := a.run(before)
	time.Sleep(2 * time.Second)
	logIn(t, before, client, 0)
	stop()

	after, _ := newFakeChecker(t)
	restore(t, after, before)
	stop = a.run(after)
	defer stop()
	time.Sleep(2 * time.Second)
	logIn(t, after, client, within)
	logIn(t, after, client, 0)
}

// logIn logs in from client and checks the duration.
func logIn(t *testing.T, c *Checker, client Attempt, within time.Duration) {
	t.Helper()
	start := time.Now()
	_, err := c.Check(t.Context(), client.with("joe", "secret"))
	if took := time.Since(start); err != nil || took > within {
		t.Errorf("from %v: err = %v after %v, want none within %v", client.From, err, took, within)
	}
}

// restore loads the state of before into after.
func restore(t *testing.T, after, before *Checker) {
	t.Helper()
	saved := false
	if err := before.Save(func(data []byte) error {
		saved = true
		return after.Restore(data)
	}); err != nil || !saved {
		t.Fatalf("saved = %t, %v", saved, err)
	}
}

// TestReplyTimeRevealsNothing checks that an attacker on another host cannot tell a
// correct guess by the time of the reply, whether or not the password is cached.
func TestReplyTimeRevealsNothing(t *testing.T) {
	for _, tt := range []struct {
		name     string
		attacker Attempt
	}{{"a user", from(1001)}, {"an address", fromAddr("192.0.2.66")}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				took := func(password string, cached bool) time.Duration {
					c, _ := newFakeChecker(t)
					if cached {
						logIn(t, c, from(8), hashTime)
					}
					for range maxPoints {
						c.Check(t.Context(), tt.attacker.with("joe", "wrong"))
					}
					start := time.Now()
					_, err := c.Check(t.Context(), tt.attacker.with("joe", password))
					if (err == nil) != (password == "secret") {
						t.Errorf("%s: %v", password, err)
					}
					return time.Since(start)
				}
				want := took("wrong", false)
				for _, password := range []string{"wrong", "secret"} {
					if got := took(password, true); got != want || got < lastDelay {
						t.Errorf("%s takes %v, want %v", password, got, want)
					}
				}
			})
		})
	}
}

// TestClosedSessions checks that a client that closes its session early gains no more
// guesses.
func TestClosedSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, hashes := newFakeChecker(t)
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), hashTime+time.Millisecond)
			c.Check(ctx, fromAddr("192.0.2.66").with("joe", "guess"))
			cancel()
		}
		if n := hashes.Load(); n > freeFailures+maxPoints {
			t.Errorf("%d guesses were hashed", n)
		}
	})
}

// TestOldPassword checks that a program with an old password that retries once a minute
// is never delayed.
func TestOldPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newFakeChecker(t)
		for range 100 {
			start := time.Now()
			_, err := c.Check(t.Context(), from(8).with("joe", "old"))
			if took := time.Since(start); took != hashTime || !errors.Is(err, ErrRefused) {
				t.Fatalf("err = %v after %v", err, took)
			}
			time.Sleep(time.Minute)
		}
	})
}
