package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hashTime is what a hash takes in these tests.
const hashTime = 20 * time.Millisecond

var here, there = netip.Addr{}, netip.MustParseAddr("192.0.2.66")

// guarded are Passwords of joe and ann, both "secret", whose hashes take hashTime.
func guarded(t testing.TB) (p *Passwords, hashes *atomic.Int32) {
	t.Helper()
	p, err := NewPasswords(logins(map[string]string{"joe": cheap(t, "secret"), "ann": cheap(t, "secret")}), nil)
	if err != nil {
		t.Fatal(err)
	}
	hashes = new(atomic.Int32)
	p.compare = func(password, hash string) (bool, error) {
		hashes.Add(1)
		time.Sleep(hashTime)
		return password == "secret", nil
	}
	return p, hashes
}

// forgetRight makes p know no password that was right.
func (p *Passwords) forgetRight() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.users {
		for _, l := range u.logins {
			l.right = nil
		}
	}
}

// An attack is many who guess at once, without pause, over connections on which an
// answer takes roundTrip, and no longer than a session may log in.
type attack struct {
	answered, refused atomic.Int32
	end               func()
}

const (
	roundTrip = 2 * time.Millisecond
	logInTime = 28 * time.Second
)

func attacking(p *Passwords, n int, user func() string, from func(i int) netip.Addr) *attack {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	a := &attack{end: func() { cancel(); all.Wait() }}
	for i := range n {
		all.Go(func() {
			for ctx.Err() == nil {
				session, leave := context.WithTimeout(ctx, logInTime)
				_, err := p.Check(session, Attempt{User: user(), Password: "guess", From: from(i)})
				leave()
				switch {
				case ctx.Err() != nil:
				case errors.Is(err, ErrPassword):
					a.answered.Add(1)
				default:
					a.refused.Add(1)
				}
				time.Sleep(roundTrip)
			}
		})
	}
	return a
}

func named(user string) func() string { return func() string { return user } }

func only(from netip.Addr) func(int) netip.Addr { return func(int) netip.Addr { return from } }

func each(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) }

// enters checks that the right password does so soon enough, or how it does not.
func enters(t *testing.T, p *Passwords, what, user string, from netip.Addr, within time.Duration, want error) {
	t.Helper()
	start := time.Now()
	_, err := p.Check(t.Context(), Attempt{User: user, Password: "secret", From: from})
	if took := time.Since(start); !errors.Is(err, want) || took > within {
		t.Errorf("%s: err = %v after %v; want %v within %v", what, err, took, want, within)
	}
}

// While 900 guess at once, the rightful program gets in, though it was never seen,
// and they do not get far.
func TestAttack(t *testing.T) {
	networks := func(i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 6: byte(i >> 8), 7: byte(i), 15: 1})
	}
	const slowly = freeFailures + maxScore + int32(time.Minute/lastSpacing)
	tests := []struct {
		name   string
		user   func() string
		from   func(int) netip.Addr
		most   int32         // guesses that are looked at in the first minute
		within time.Duration // in which most right passwords from there are looked at
	}{
		{"from one address", named("joe"), only(there), slowly, 2*lastSpacing + time.Second},
		{"from one site of IPv6", named("joe"), networks, slowly, 2*lastSpacing + time.Second},
		{"from this machine", named("joe"), only(here), freeFailures + int32(time.Minute/nameSpacing), time.Second / 4},
		{"from this machine, random names", rand.Text, only(here), 1 << 30, time.Second / 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, hashes := guarded(t)
				a := attacking(p, 900, tt.user, tt.from)
				time.Sleep(time.Minute)
				if n := a.answered.Load(); n > tt.most || n == 0 {
					t.Errorf("%d guesses were answered, want at most %d", n, tt.most)
				}
				if n := hashes.Load(); n > tt.most+1 { // one is under way
					t.Errorf("%d were hashed, want at most %d", n, tt.most)
				}
				enters(t, p, "from another address", "joe", netip.MustParseAddr("192.0.2.1"), 2*hashTime, nil)
				enters(t, p, "recognized", "joe", tt.from(0), 0, nil)
				late := 0
				const all = 50
				for i := range all {
					p.forgetRight()
					time.Sleep(time.Duration(i) * time.Millisecond)
					start := time.Now()
					_, err := p.Check(t.Context(), Attempt{User: "joe", Password: "secret", From: tt.from(0)})
					switch took := time.Since(start); {
					case err == nil && took <= tt.within:
					case errors.Is(err, ErrGuesses):
						late++
					default:
						t.Errorf("%d: err = %v after %v", i, err, took)
					}
				}
				if late > all/4 {
					t.Errorf("%d of %d logins were told to try later", late, all)
				}
				a.end()
			})
		})
	}
}

// Who guesses from many addresses is as slow for one name as from one, and does
// not lock out who comes from elsewhere.
func TestAttackFromManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := guarded(t)
		a := attacking(p, 300, named("joe"), each)
		time.Sleep(5 * time.Minute)
		before := a.answered.Load()
		time.Sleep(time.Minute)
		if n := a.answered.Load() - before; n > int32(time.Minute/nameSpacing)*11/10 || n == 0 { // some are forgiven
			t.Errorf("%d guesses were answered in a minute", n)
		}
		enters(t, p, "from another address", "joe", netip.MustParseAddr("192.0.2.1"), 2*hashTime, nil)
		enters(t, p, "recognized", "joe", each(0), 0, nil)
		p.forgetRight()
		enters(t, p, "from this machine", "joe", here, 2*hashTime, nil)
		a.end()
	})
}

// The pauses before passwords are looked at tell nothing of whether there is such a
// name, and are all forgotten.
func TestPauses(t *testing.T) {
	pauses := func(p *Passwords, user string, from netip.Addr, n int) (all []time.Duration) {
		for range n {
			start := time.Now()
			_, err := p.Check(context.Background(), Attempt{User: user, Password: "guess", From: from})
			if !errors.Is(err, ErrPassword) {
				return append(all, -1)
			}
			all = append(all, (time.Since(start) - hashTime).Round(10*time.Millisecond))
		}
		return all
	}
	const ms = time.Millisecond
	tests := []struct {
		name string
		from netip.Addr
		want []time.Duration
	}{
		{"from an address", there, []time.Duration{0, 0, 0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms}},
		{"from this machine", here, []time.Duration{0, 0, 0, 0, 50 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, user := range []string{"joe", "nobody"} {
					p, _ := guarded(t)
					if got := pauses(p, user, tt.from, len(tt.want)); !slices.Equal(got, tt.want) {
						t.Errorf("%s: %v, want %v", user, got, tt.want)
					}
					time.Sleep(maxScore * forgiveness)
					if got := pauses(p, user, tt.from, 4); !slices.Equal(got, tt.want[:4]) {
						t.Errorf("%s, later: %v, want %v", user, got, tt.want[:4])
					}
				}
			})
		})
	}
}

// A program that has an old password and tries once a minute is answered at once,
// for ever.
func TestOldPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := guarded(t)
		for range 100 {
			start := time.Now()
			p.Check(t.Context(), Attempt{User: "joe", Password: "old", From: there})
			if took := time.Since(start); took != hashTime {
				t.Fatalf("answered after %v", took)
			}
			time.Sleep(time.Minute)
		}
	})
}

// Who hangs up rather than wait gains nothing by it.
func TestHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, hashes := guarded(t)
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), hashTime+time.Millisecond)
			p.Check(ctx, Attempt{User: "joe", Password: "guess", From: there})
			cancel()
		}
		if n := hashes.Load(); n > freeFailures+maxScore {
			t.Errorf("%d guesses were hashed", n)
		}
	})
}

// However many sources there are, few are remembered, and those that have failed
// often are among them.
func TestSourcesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses()
		bad := g.begin(there, "joe")
		for range maxScore {
			bad.fail()
		}
		for i := range 2 * maxSources {
			o := g.begin(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 5: byte(i >> 16), 6: byte(i >> 8), 7: byte(i)}), "joe")
			o.fail()
		}
		for i := range 2 * maxSources {
			g.begin(here, fmt.Sprint(i))
		}
		if n := len(g.sources); n != maxSources {
			t.Errorf("%d sources, want %d", n, maxSources)
		}
		if again := g.begin(netip.AddrFrom16(there.As16()), "ann"); again.source != bad.source {
			t.Error("the one that failed most is forgotten")
		}
	})
}

// Guesses of random names on this machine leave a turn to who comes from another.
func TestMachineIsOneSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesses()
		g.begin(here, "joe").fail()
		for _, tt := range []struct {
			from    netip.Addr
			suspect bool
		}{{here, true}, {netip.MustParseAddr("127.0.0.2"), true}, {there, false}} {
			if got := g.begin(tt.from, "ann").standing(); got != tt.suspect {
				t.Errorf("from %v: suspect = %t", tt.from, got)
			}
		}
		time.Sleep(forgiveness)
		if g.begin(here, "ann").standing() {
			t.Error("it is not forgotten")
		}
	})
}

// How long the right password takes that was never seen, while many guess.
func BenchmarkCheckAttacked(b *testing.B) {
	hash, err := HashPassword("secret")
	if err != nil {
		b.Fatal(err)
	}
	for _, bm := range []struct {
		name string
		n    int
		from func(int) netip.Addr
		user string
	}{
		{"by nobody", 0, nil, ""},
		{"from another address", 1000, only(there), "joe"},
		{"from 1000 other addresses", 1000, each, "joe"},
		{"from here, another name", 1000, only(here), "ann"},
		{"from here, the same name", 100, only(here), "joe"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p, err := NewPasswords(logins(map[string]string{"joe": hash, "ann": hash}), nil)
			if err != nil {
				b.Fatal(err)
			}
			a := attacking(p, bm.n, named(bm.user), bm.from)
			defer a.end()
			longest := time.Duration(0)
			for b.Loop() {
				start := time.Now()
				if _, err := p.Check(b.Context(), Attempt{User: "joe", Password: "secret"}); err != nil {
					b.Fatal(err)
				}
				longest = max(longest, time.Since(start))
				p.forgetRight()
			}
			b.ReportMetric(float64(longest.Milliseconds()), "ms-at-most")
		})
	}
}
