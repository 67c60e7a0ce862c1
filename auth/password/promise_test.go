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
)

// These tests hold what SECURITY.md promises about guesses, under these attacks.

// hashTime is what a hash takes in these tests.
const hashTime = 20 * time.Millisecond

// hash is of the password "secret"; computing it is left out.
const hash = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b+dWRWJTmaaJObGRdescudvJCs"

// guarded is a Checker for joe and ann, both with the password "secret", whose hashes
// take hashTime.
func guarded(t testing.TB) (c *Checker, hashes *atomic.Int32) {
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

// forget makes c as if no password had ever been right.
func (c *Checker) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.users {
		for _, l := range u.logins {
			l.memory = memory{}
		}
	}
}

// from is an attempt from a user of this machine, or an address.
func from(uid uint32) Attempt {
	return Attempt{From: netip.MustParseAddr("127.0.0.1"), UID: uid, HasUID: true}
}

func fromAddr(s string) Attempt { return Attempt{From: netip.MustParseAddr(s)} }

func (a Attempt) with(user, password string) Attempt {
	a.User, a.Password = user, password
	return a
}

// An attack guesses on so many connections at once. The answer takes roundTrip, and
// a session at most logInTime.
type attack struct {
	name        string
	connections int
	guess       func(connection int) Attempt // where from, and for whom
	hangUp      time.Duration                // after which it does not wait any longer; 0 waits
	hosts       int                          // that it comes from at once
	sources     int                          // that it comes from
}

// many sources are more than it has connections.
const many = 1 << 20

const (
	roundTrip = 20 * time.Millisecond
	logInTime = 28 * time.Second
)

// run attacks until stop is called. Each guess is another.
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
				session, leave := context.WithTimeout(ctx, wait)
				guess := a.guess(i)
				guess.Password = fmt.Sprint("guess ", number.Add(1))
				c.Check(session, guess)
				leave()
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

// eachAddress is another address for each connection, anyAddress for each guess.
func eachAddress(i int) Attempt {
	return Attempt{From: netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), User: "joe"}
}

func anyAddress() func(int) Attempt {
	var n atomic.Uint32
	return func(int) Attempt {
		i := n.Add(1)
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 4: byte(i >> 8), 5: byte(i), 15: 1} // another /48 each
		a[1] = byte(i >> 16)
		return Attempt{From: netip.AddrFrom16(a), User: "joe"}
	}
}

// attacks are the worst that were thought of. The attacker is user 1001, or at
// 192.0.2.66; in all of them it knows the user name joe.
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
		{"100 addresses", 100, eachAddress, 0, 100, 100},
		{"100 addresses, do not wait", 100, eachAddress, soon, 100, 100},
		{"another address for each guess", 100, anyAddress(), 0, 100, many},
	}
}

// "An attacker delays a login of another user of this machine, or from another
// address, by at most one password check for each user and address that attacks."
func TestPromiseOthersAreNotDelayed(t *testing.T) {
	for _, attack := range attacks() {
		t.Run(attack.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := guarded(t)
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

// "After three wrong passwords, xoauthd checks those of the same source at intervals
// that grow to 5 seconds, and those of all such sources for one user name at most 20
// times a second."
func TestPromiseGuessesAreSlow(t *testing.T) {
	const long = 20 * time.Second
	const source = freeFailures + maxPoints + int32(long/lastDelay)
	const name = int32(long / nameDelay)
	for _, attack := range attacks() {
		if attack.sources == many { // each of which has three guesses
			continue
		}
		most := int32(source)
		if attack.sources > 1 {
			most = int32(attack.sources)*freeFailures + name
		}
		t.Run(attack.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, hashes := guarded(t)
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

// "A password that was right before is recognized at once when it comes from the same
// user of this machine or address, and after a restart it is checked before all others
// from there." From the same user or address, one of 16 guesses is checked before the
// others, too; so an attacker there must not send more than 320 a second.
func TestPromiseRightPasswordsAreRecognized(t *testing.T) {
	for _, attack := range attacks() {
		t.Run(attack.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				same := attack
				same.connections = min(same.connections, 4)
				recognized(t, same, attack.guess(0), time.Second)
				within := time.Duration(attack.hosts/runtime.GOMAXPROCS(0)+2) * hashTime
				recognized(t, attack, from(8), within)
				recognized(t, attack, fromAddr("192.0.2.1"), within)
			})
		})
	}
}

func recognized(t *testing.T, a attack, client Attempt, within time.Duration) {
	t.Helper()
	before, _ := guarded(t)
	logIn(t, before, client, hashTime)
	stop := a.run(before)
	time.Sleep(2 * time.Second)
	logIn(t, before, client, 0)
	stop()

	after, _ := guarded(t)
	restore(t, after, before)
	stop = a.run(after)
	defer stop()
	time.Sleep(2 * time.Second)
	logIn(t, after, client, within)
	logIn(t, after, client, 0)
}

func logIn(t *testing.T, c *Checker, client Attempt, within time.Duration) {
	t.Helper()
	start := time.Now()
	_, err := c.Check(t.Context(), client.with("joe", "secret"))
	if took := time.Since(start); err != nil || took > within {
		t.Errorf("from %v: err = %v after %v, want none within %v", client.From, err, took, within)
	}
}

// restore has after know what before saves.
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

// An attacker elsewhere cannot tell a right guess from a wrong one by how soon the
// answer comes, whether or not the right password was seen before.
func TestPromiseNoAnswerTellsNothing(t *testing.T) {
	for _, tt := range []struct {
		name     string
		attacker Attempt
	}{{"a user", from(1001)}, {"an address", fromAddr("192.0.2.66")}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				took := func(password string, seen bool) time.Duration {
					c, _ := guarded(t)
					if seen {
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

// A client that hangs up instead of waiting gains nothing by it.
func TestHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, hashes := guarded(t)
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

// A program that has an old password and tries it once a minute is answered at once,
// forever.
func TestOldPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := guarded(t)
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
