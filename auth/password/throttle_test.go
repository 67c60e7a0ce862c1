package password

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestHostOf(t *testing.T) {
	for _, tt := range []struct {
		name  string
		a     Attempt
		host  string
		local bool
	}{
		{"a user of this machine", from(1000), "uid 1000", true},
		{"root", from(0), "uid 0", true},
		{"a user, by the machine's own address", Attempt{From: netip.MustParseAddr("192.0.2.1"), UID: 8, HasUID: true}, "uid 8", true},
		{"an unknown user", fromAddr("127.0.0.1"), "this machine", true},
		{"an unknown user, by IPv6", fromAddr("::1"), "this machine", true},
		{"no address", Attempt{}, "this machine", true},
		{"an address", fromAddr("192.0.2.1"), "192.0.2.1", false},
		{"an address, as IPv6 writes it", fromAddr("::ffff:192.0.2.1"), "192.0.2.1", false},
		{"a site", fromAddr("2001:db8:1:2::3"), "2001:db8:1::/48", false},
		{"a link", fromAddr("fe80::1%eth0"), "fe80::/48", false},
	} {
		if host, local := hostOf(tt.a); host != tt.host || local != tt.local {
			t.Errorf("%s: %s, %t", tt.name, host, local)
		}
	}
}

// single is a throttle with one processor.
func single() *throttle {
	t := newThrottle()
	t.free, t.suspect = 1, 1
	return t
}

// Turns go round the hosts, and round the sources of each; hosts and sources that
// failed lately come last, and likely passwords first.
func TestTurns(t *testing.T) {
	at := func(host, user string) func() (origin, string) {
		return func() (origin, string) { return origin{host: host, local: true}, user }
	}
	likely := func(host, user string) func() (origin, string) {
		return func() (origin, string) { return origin{host: host, local: true, likely: true}, user }
	}
	for _, tt := range []struct {
		name   string
		failed []func() (origin, string) // before
		come   []func() (origin, string)
		want   []int
	}{
		{"one source: first come, first served", nil,
			[]func() (origin, string){at("a", "joe"), at("a", "joe"), at("a", "joe")}, []int{0, 1, 2}},
		{"hosts take turns", nil,
			[]func() (origin, string){at("a", "joe"), at("a", "joe"), at("a", "joe"), at("b", "joe"), at("b", "joe"), at("c", "joe")}, []int{0, 3, 5, 1, 4, 2}},
		{"sources of a host take turns", nil,
			[]func() (origin, string){at("a", "x"), at("a", "x"), at("a", "y"), at("b", "x"), at("a", "z")}, []int{0, 3, 2, 4, 1}},
		{"a host that failed comes last", []func() (origin, string){at("a", "joe")},
			[]func() (origin, string){at("a", "ann"), at("a", "ann"), at("b", "joe"), at("b", "joe")}, []int{2, 3, 0, 1}},
		{"hosts that failed take turns as they come", []func() (origin, string){at("a", "joe"), at("b", "joe")},
			[]func() (origin, string){at("b", "joe"), at("a", "joe")}, []int{0, 1}},
		{"a source that failed comes last in its host", []func() (origin, string){at("a", "joe")},
			[]func() (origin, string){at("a", "joe"), at("a", "ann"), at("a", "ann")}, []int{1, 2, 0}},
		{"likely passwords come first in their host", nil,
			[]func() (origin, string){at("a", "joe"), at("a", "ann"), likely("a", "joe"), at("b", "joe")}, []int{2, 3, 0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttle := single()
				for _, origin := range tt.failed {
					o, user := origin()
					a, err := throttle.wait(t.Context(), o, user)
					if err != nil {
						t.Fatal(err)
					}
					throttle.done(a, true)
				}
				first, err := throttle.wait(t.Context(), origin{host: "first"}, "")
				if err != nil {
					t.Fatal(err)
				}
				var order []int
				var all sync.WaitGroup
				for i, origin := range tt.come {
					o, user := origin()
					all.Go(func() {
						a, err := throttle.wait(t.Context(), o, user)
						if err != nil {
							t.Error(err)
							return
						}
						order = append(order, i)
						throttle.done(a, false)
					})
					synctest.Wait()
				}
				throttle.done(first, false)
				all.Wait()
				if !slices.Equal(order, tt.want) {
					t.Errorf("order = %v, want %v", order, tt.want)
				}
				if len(throttle.waiting) != 0 || throttle.free != 1 || throttle.suspect != 1 {
					t.Errorf("%d wait; free = %d, suspect = %d", len(throttle.waiting), throttle.free, throttle.suspect)
				}
			})
		})
	}
}

// Of hosts that failed lately, half of the processors are hashing at most.
func TestSuspectsLeaveProcessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle()
		throttle.free, throttle.suspect = 4, 2
		for i := range 4 {
			a, _ := throttle.wait(t.Context(), origin{host: fmt.Sprint(i)}, "")
			throttle.done(a, true)
		}
		for i := range 2 {
			if _, err := throttle.wait(t.Context(), origin{host: fmt.Sprint(i)}, ""); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := throttle.wait(ctx, origin{host: "2"}, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a third one: err = %v", err)
		}
		if _, err := throttle.wait(t.Context(), origin{host: "other"}, ""); err != nil {
			t.Error(err)
		}
	})
}

// The delays tell nothing of whether there is such a name, and are all forgotten.
func TestDelays(t *testing.T) {
	const ms = time.Millisecond
	want := []time.Duration{0, 0, 0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms}
	delays := func(c *Checker, a Attempt, n int) (all []time.Duration) {
		for range n {
			start := time.Now()
			if _, err := c.Check(context.Background(), a); !errors.Is(err, ErrRefused) {
				return append(all, -1)
			}
			all = append(all, (time.Since(start) - hashTime).Round(10*ms))
		}
		return all
	}
	for _, client := range []Attempt{fromAddr("192.0.2.66"), from(8), {}} {
		synctest.Test(t, func(t *testing.T) {
			for _, user := range []string{"joe", "nobody"} {
				c, _ := guarded(t)
				a := client.with(user, "guess")
				if got := delays(c, a, len(want)); !slices.Equal(got, want) {
					t.Errorf("%s from %v: %v, want %v", user, a.From, got, want)
				}
				time.Sleep(maxPoints * forgiveness)
				if got := delays(c, a, 4); !slices.Equal(got, want[:4]) {
					t.Errorf("%s from %v, later: %v, want %v", user, a.From, got, want[:4])
				}
			}
		})
	}
}

// On this machine, user names and users do not delay each other.
func TestSourcesOfThisMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := guarded(t)
		for range maxPoints {
			c.Check(t.Context(), from(8).with("joe", "wrong"))
		}
		for _, a := range []Attempt{from(8).with("ann", "wrong"), from(9).with("joe", "wrong"), Attempt{}.with("joe", "wrong")} {
			start := time.Now()
			c.Check(t.Context(), a)
			if took := time.Since(start); took != hashTime {
				t.Errorf("%+v took %v", a, took)
			}
		}
	})
}

// Likely passwords are delayed only by each other, for one user name.
func TestLikelyAreNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle()
		start := time.Now()
		for range 2 * maxPoints {
			a, err := throttle.wait(t.Context(), origin{host: "a", likely: true}, "joe")
			if err != nil {
				t.Fatal(err)
			}
			throttle.done(a, true)
		}
		if took := time.Since(start); took != (2*maxPoints-1)*nameDelay {
			t.Errorf("took %v", took)
		}
	})
}

// Few attempts of a source that is delayed wait; the others are refused at once.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, hashes := guarded(t)
		start := time.Now()
		var all sync.WaitGroup
		var mu sync.Mutex
		refused := make(map[time.Duration]int)
		for range maxWaiting + 10 {
			all.Go(func() {
				if _, err := c.Check(t.Context(), from(8).with("joe", "wrong")); errors.Is(err, ErrThrottled) {
					mu.Lock()
					refused[time.Since(start)]++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		const checked = freeFailures + maxDelayedWaiting
		if refused[0] != 9 || refused[freeFailures*hashTime] != maxWaiting+1-checked || hashes.Load() != checked {
			t.Errorf("refused %v, and %d were hashed", refused, hashes.Load())
		}
	})
}

// Attempts that leave the queue at the moment of their turn neither lose nor double it.
func TestLeave(t *testing.T) {
	throttle := single()
	for i := range 1000 {
		first, err := throttle.wait(t.Context(), origin{host: "a"}, "")
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			if a, err := throttle.wait(ctx, origin{host: "a"}, ""); err == nil {
				throttle.done(a, false)
			}
		}()
		go leave()
		throttle.done(first, false)
		<-left
		if throttle.free != 1 || len(throttle.records) != 0 {
			t.Fatalf("%d: free = %d, left are %v", i, throttle.free, throttle.records)
		}
	}
}

// However many sources fail, few are remembered, and those that failed often are among
// them. User names whose delay is over are not.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle()
		fail := func(o origin, user string) {
			a, err := throttle.wait(t.Context(), o, user)
			if err != nil {
				t.Fatal(err)
			}
			throttle.done(a, true)
		}
		for range maxPoints {
			fail(origin{host: "bad"}, "joe")
		}
		for i := range 2 * maxRecords {
			fail(origin{host: fmt.Sprint("host ", i%1000), local: true}, fmt.Sprint(i))
		}
		if n := len(throttle.records); n > maxRecords || n < maxRecords*8/10 {
			t.Errorf("%d records, want some less than %d", n, maxRecords)
		}
		if s := throttle.records[key{host: "bad"}]; s == nil || !s.delayed(time.Now()) {
			t.Error("the one that failed most is forgotten")
		}
		for range freeFailures {
			fail(origin{host: "delayed"}, "joe")
		}
		for i := range 1000 {
			fail(origin{host: "delayed"}, fmt.Sprint(i))
		}
		if n := len(throttle.names); n > 2 {
			t.Errorf("%d names", n)
		}
	})
}

// How long a right password takes that was never seen, with real hashes, while many
// guess on this machine.
func BenchmarkCheckAttacked(b *testing.B) {
	hash, err := Hash("secret")
	if err != nil {
		b.Fatal(err)
	}
	for _, a := range append(attacks(), attack{name: "nobody"}) {
		b.Run(a.name, func(b *testing.B) {
			c, err := New(logins(map[string]string{"joe": hash, "ann": hash}), nil)
			if err != nil {
				b.Fatal(err)
			}
			stop := a.run(c)
			defer stop()
			longest := time.Duration(0)
			for b.Loop() {
				start := time.Now()
				if _, err := c.Check(b.Context(), from(8).with("joe", "secret")); err != nil {
					b.Fatal(err)
				}
				longest = max(longest, time.Since(start))
				c.forget()
			}
			b.ReportMetric(float64(longest.Milliseconds()), "ms-at-most")
		})
	}
}
