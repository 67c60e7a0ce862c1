package auth

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// A scale weighs what comes to a provider.
type scale struct {
	http.RoundTripper
	mu     sync.Mutex
	active int
	most   int // at once
	at     []time.Time
}

func (s *scale) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.active++
	s.most = max(s.most, s.active)
	s.at = append(s.at, time.Now())
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.active--
		s.mu.Unlock()
	}()
	return s.RoundTripper.RoundTrip(req)
}

// inMinute is the most requests within a minute, and between the two moments.
func (s *scale) inMinute(from, to time.Time) (most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, first := range s.at {
		n := 0
		for _, at := range s.at[i:] {
			if !first.Before(from) && at.Before(to) && at.Sub(first) < time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// TestRefreshesAreSpread checks that the refreshes of 200 accounts are spread over time,
// after a suspend and after an outage.
func TestRefreshesAreSpread(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, func(t *testing.T) {
		m := newRotatingProvider()
		load := &scale{RoundTripper: &tokenserver.Server{Latency: 300 * time.Millisecond, Answer: m.answer}}
		provider, store := newProvider(nil), openStore(t, stateDir(t))
		provider.Client.Transport = load
		inMemory(store)
		var accounts []*Account
		for i := range 200 {
			name := fmt.Sprintf("joe%d", i)
			g := m.grant(name)
			g.Obtained, g.Expiry = g.Obtained.Add(-8*time.Hour), g.Expiry.Add(-8*time.Hour)
			if err := store.Save(name, g); err != nil {
				t.Fatal(err)
			}
			accounts = append(accounts, NewAccount(name, provider, oauth.Consent{}, store, nil))
		}
		end := refreshing(t, accounts...)

		phase := func(name string, length time.Duration, perMinute int) {
			t.Helper()
			from := time.Now()
			time.Sleep(length)
			if n := load.inMinute(from, time.Now()); n > perMinute || n == 0 {
				t.Errorf("%s: %d requests within a minute, want 1 to %d", name, n, perMinute)
			}
		}
		allFresh := func(name string) {
			t.Helper()
			for _, a := range accounts {
				if d := time.Until(a.Status().Expiry); d < 20*time.Minute {
					t.Fatalf("%s: the token of %s ends in %v", name, a.Name(), d)
				}
			}
		}
		phase("in the morning", 3*time.Minute, 76)
		allFresh("in the morning")
		phase("after that", 4*time.Hour, 76)
		allFresh("after that")
		m.fail(true)
		phase("as the outage begins", time.Hour, 6)
		phase("in the outage", 2*time.Hour, 1)
		m.fail(false)
		phase("as the outage ends", 5*time.Minute, 76)
		allFresh("as the outage ends")
		end()
		if load.most != 1 {
			t.Errorf("%d requests at once", load.most)
		}
	})
}

// Logins do not queue behind the background.
func TestLoginsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Numbered, Latency: 5 * time.Second}
		provider, store := newProvider(s), openStore(t, stateDir(t))
		var accounts []*Account
		for _, name := range []string{"joe1", "joe2", "joe3"} {
			if err := store.Save(name, granted(8*time.Hour)); err != nil {
				t.Fatal(err)
			}
			accounts = append(accounts, NewAccount(name, provider, oauth.Consent{}, store, nil))
		}
		defer refreshing(t, accounts...)()
		synctest.Wait()
		start := time.Now()
		var all sync.WaitGroup
		for _, a := range accounts {
			all.Go(func() {
				if _, err := a.Token(t.Context(), ""); err != nil || time.Since(start) != s.Latency {
					t.Errorf("%s: after %v: %v", a.Name(), time.Since(start), err)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Minute)
		if s.Count() != 3 {
			t.Errorf("%d requests for 3 accounts", s.Count())
		}
	})
}
