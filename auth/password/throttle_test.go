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
		{"local user", from(1000), "uid 1000", true},
		{"root", from(0), "uid 0", true},
		{"local user at a public address", Attempt{From: netip.MustParseAddr("192.0.2.1"), UID: 8, HasUID: true}, "uid 8", true},
		{"unknown local user", fromAddr("127.0.0.1"), "this machine", true},
		{"unknown local user, IPv6", fromAddr("::1"), "this machine", true},
		{"unix socket without user", Attempt{}, "this machine", true},
		{"IPv4 address", fromAddr("192.0.2.1"), "192.0.2.1", false},
		{"IPv4-mapped address", fromAddr("::ffff:192.0.2.1"), "192.0.2.1", false},
		{"IPv6 address", fromAddr("2001:db8:1:2::3"), "2001:db8:1::/48", false},
		{"link-local address", fromAddr("fe80::1%eth0"), "fe80::/48", false},
	} {
		if host, local := hostOf(tt.a); host != tt.host || local != tt.local {
			t.Errorf("%s: %s, %t", tt.name, host, local)
		}
	}
}

// newSingleThrottle returns a throttle with one slot.
func newSingleThrottle() *throttle {
	t := newThrottle()
	t.free, t.penalized = 1, 1
	return t
}

// TestOrder checks that hosts take turns and that the sources of a host take turns.
// Hosts and sources with a penalty come last, and likely passwords come first.
func TestOrder(t *testing.T) {
	at := func(host, user string) func() (origin, string) {
		return func() (origin, string) { return origin{host: host, local: true}, user }
	}
	likely := func(host, user string) func() (origin, string) {
		return func() (origin, string) { return origin{host: host, local: true, likely: true}, user }
	}
	for _, tt := range []struct {
		name   string
		failed []func() (origin, string) // earlier failures
		arrive []func() (origin, string)
		want   []int
	}{
		{"one source: first come, first served", nil,
			[]func() (origin, string){at("a", "joe"), at("a", "joe"), at("a", "joe")}, []int{0, 1, 2}},
		{"hosts take turns", nil,
			[]func() (origin, string){at("a", "joe"), at("a", "joe"), at("a", "joe"), at("b", "joe"), at("b", "joe"), at("c", "joe")}, []int{0, 3, 5, 1, 4, 2}},
		{"sources of a host take turns", nil,
			[]func() (origin, string){at("a", "x"), at("a", "x"), at("a", "y"), at("b", "x"), at("a", "z")}, []int{0, 3, 2, 4, 1}},
		{"a host with a penalty comes last", []func() (origin, string){at("a", "joe")},
			[]func() (origin, string){at("a", "ann"), at("a", "ann"), at("b", "joe"), at("b", "joe")}, []int{2, 3, 0, 1}},
		{"hosts with penalties take turns in order of arrival", []func() (origin, string){at("a", "joe"), at("b", "joe")},
			[]func() (origin, string){at("b", "joe"), at("a", "joe")}, []int{0, 1}},
		{"a source with a penalty comes last in its host", []func() (origin, string){at("a", "joe")},
			[]func() (origin, string){at("a", "joe"), at("a", "ann"), at("a", "ann")}, []int{1, 2, 0}},
		{"likely passwords come first in their host", nil,
			[]func() (origin, string){at("a", "joe"), at("a", "ann"), likely("a", "joe"), at("b", "joe")}, []int{2, 3, 0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttle := newSingleThrottle()
				for _, origin := range tt.failed {
					o, user := origin()
					a, err := throttle.acquire(t.Context(), o, user)
					if err != nil {
						t.Fatal(err)
					}
					throttle.release(a, true)
				}
				first, err := throttle.acquire(t.Context(), origin{host: "first"}, "")
				if err != nil {
					t.Fatal(err)
				}
				var order []int
				var all sync.WaitGroup
				for i, origin := range tt.arrive {
					o, user := origin()
					all.Go(func() {
						a, err := throttle.acquire(t.Context(), o, user)
						if err != nil {
							t.Error(err)
							return
						}
						order = append(order, i)
						throttle.release(a, false)
					})
					synctest.Wait()
				}
				throttle.release(first, false)
				all.Wait()
				if !slices.Equal(order, tt.want) {
					t.Errorf("order = %v, want %v", order, tt.want)
				}
				if len(throttle.waiting) != 0 || throttle.free != 1 || throttle.penalized != 1 {
					t.Errorf("waiting = %d, free = %d, penalized = %d", len(throttle.waiting), throttle.free, throttle.penalized)
				}
			})
		})
	}
}

// TestPenalizedHostsUseHalf checks that hosts with a penalty use at most half of the
// slots.
func TestPenalizedHostsUseHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle()
		throttle.free, throttle.penalized = 4, 2
		for i := range 4 {
			a, _ := throttle.acquire(t.Context(), origin{host: fmt.Sprint(i)}, "")
			throttle.release(a, true)
		}
		for i := range 2 {
			if _, err := throttle.acquire(t.Context(), origin{host: fmt.Sprint(i)}, ""); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := throttle.acquire(ctx, origin{host: "2"}, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("third host with a penalty: err = %v", err)
		}
		if _, err := throttle.acquire(t.Context(), origin{host: "other"}, ""); err != nil {
			t.Error(err)
		}
	})
}

// TestDelays checks that delays are the same for known and unknown user names, and that
// they end.
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
				c, _ := newFakeChecker(t)
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

// TestLocalSources checks that local users and user names do not delay each other.
func TestLocalSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newFakeChecker(t)
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

// TestLikelyAreNotDelayed checks that only other likely passwords for the same user name
// delay a likely password.
func TestLikelyAreNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle()
		start := time.Now()
		for range 2 * maxPoints {
			a, err := throttle.acquire(t.Context(), origin{host: "a", likely: true}, "joe")
			if err != nil {
				t.Fatal(err)
			}
			throttle.release(a, true)
		}
		if took := time.Since(start); took != (2*maxPoints-1)*nameDelay {
			t.Errorf("took %v", took)
		}
	})
}

// TestWaitingLimit checks that the throttle refuses attempts above the limits of a
// source at once.
func TestWaitingLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, hashes := newFakeChecker(t)
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

// TestCancel checks that no slot is lost or doubled when ctx ends at the moment of the
// turn.
func TestCancel(t *testing.T) {
	throttle := newSingleThrottle()
	for i := range 1000 {
		first, err := throttle.acquire(t.Context(), origin{host: "a"}, "")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if a, err := throttle.acquire(ctx, origin{host: "a"}, ""); err == nil {
				throttle.release(a, false)
			}
		}()
		go cancel()
		throttle.release(first, false)
		<-done
		if throttle.free != 1 || len(throttle.buckets) != 0 {
			t.Fatalf("%d: free = %d, buckets = %v", i, throttle.free, throttle.buckets)
		}
	}
}

// TestBucketLimit checks that the throttle keeps a limited number of buckets, among
// them those with the highest score, and removes user names whose delay has ended.
func TestBucketLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := newThrottle()
		fail := func(o origin, user string) {
			a, err := throttle.acquire(t.Context(), o, user)
			if err != nil {
				t.Fatal(err)
			}
			throttle.release(a, true)
		}
		for range maxPoints {
			fail(origin{host: "bad"}, "joe")
		}
		for i := range 2 * maxBuckets {
			fail(origin{host: fmt.Sprint("host ", i%1000), local: true}, fmt.Sprint(i))
		}
		if n := len(throttle.buckets); n > maxBuckets || n < maxBuckets*8/10 {
			t.Errorf("%d buckets, want slightly less than %d", n, maxBuckets)
		}
		if s := throttle.buckets[key{host: "bad"}]; s == nil || !s.delayed(time.Now()) {
			t.Error("the bucket with the highest score is gone")
		}
		for range freeFailures {
			fail(origin{host: "delayed"}, "joe")
		}
		for i := range 1000 {
			fail(origin{host: "delayed"}, fmt.Sprint(i))
		}
		if n := len(throttle.nameDue); n > 2 {
			t.Errorf("%d names", n)
		}
	})
}

// BenchmarkCheckAttacked measures a login with a correct, uncached password and real
// hashes during each attack.
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
