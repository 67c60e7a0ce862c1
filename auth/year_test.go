package auth

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/testing/race"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// settled is how long after a mishap all is well again.
const settled = 5 * time.Minute

// Those of the year; a program logs in to the used ones now and then.
var yearAccounts = []string{"used1", "idle1", "used2", "idle2", "idle3"}

// A year is one of a daemon and its accounts.
type year struct {
	*testing.T
	*rotatingProvider
	chance   *rand.Rand
	store    *store.Store
	accounts []*Account
	end      func() // of the refreshes

	rough    time.Time            // the mishaps that came are over then
	mishaps  map[string]int       // how many came, by kind
	outage   time.Time            // when this one ends
	downtime time.Duration        // of all outages
	revoked  map[string]time.Time // grants the provider ended, less the downtime before
	asked    map[string]time.Time // accounts that wait for a person
	requests int                  // to a person, for authorization
	next     map[string]time.Time // login, by account
	logins   int
}

func newYear(t *testing.T) *year {
	y := &year{
		T:                t,
		rotatingProvider: newRotatingProvider(),
		chance:           rand.New(rand.NewPCG(1, 2)),
		store:            openStore(t, stateDir(t)),
		mishaps:          make(map[string]int),
		revoked:          make(map[string]time.Time),
		asked:            make(map[string]time.Time),
		next:             make(map[string]time.Time),
	}
	inMemory(y.store)
	for _, name := range yearAccounts {
		if err := y.store.Save(name, y.grant(name)); err != nil {
			t.Fatal(err)
		}
	}
	y.start()
	return y
}

// start is that of a daemon.
func (y *year) start() {
	provider := newProvider(&tokenserver.Server{Answer: y.rotatingProvider.answer, Latency: time.Second})
	y.accounts = nil
	for _, name := range yearAccounts {
		y.accounts = append(y.accounts, NewAccount(name, provider, oauth.Consent{}, y.store, nil))
	}
	y.end = refreshing(y.T, y.accounts...)
}

// stop is the end of one, perhaps amid a refresh.
func (y *year) stop() {
	y.end()
	for _, a := range y.accounts {
		if err := a.Wait(y.Context()); err != nil {
			y.Error(err)
		}
	}
}

// doze suspends the machine like a laptop: only the wall clock goes on, so all times are
// older afterwards.
func (y *year) doze(d time.Duration) {
	for y.refreshing() {
		time.Sleep(time.Second)
	}
	for _, a := range y.accounts {
		a.saving.Lock()
		a.mu.Lock()
		for _, at := range []*time.Time{&a.grant.Obtained, &a.grant.Refreshed, &a.grant.Expiry} {
			if !at.IsZero() {
				*at = at.Add(-d)
			}
		}
		g := a.grant
		a.mu.Unlock()
		a.save(g)
		a.saving.Unlock()
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	for access, at := range y.ends {
		if time.Until(at) < d { // what ended need not be remembered
			delete(y.ends, access)
		} else {
			y.ends[access] = at.Add(-d)
		}
	}
	for account, at := range y.used {
		y.used[account] = at.Add(-d)
	}
}

func (y *year) refreshing() bool {
	synctest.Wait()
	for _, a := range y.accounts {
		a.mu.Lock()
		r := a.refreshing
		a.mu.Unlock()
		if r != nil {
			return true
		}
	}
	return false
}

// mishap is what happens in the ten minutes to come, mostly nothing.
func (y *year) mishap() {
	now := time.Now()
	switch n := y.chance.IntN(10000); {
	case n < 3 && !y.down:
		y.mishaps["outage"]++
		y.fail(true)
		y.outage = now.Add(time.Hour + time.Duration(y.chance.Int64N(int64(71*time.Hour))))
	case n < 10:
		y.mishaps["restart"]++
		y.stop()
		y.start()
	case n < 60:
		y.mishaps["doze"]++
		y.doze(time.Duration(y.chance.Int64N(int64(12 * time.Hour))))
	case y.down && now.After(y.outage):
		y.fail(false)
	default:
		return
	}
	y.rough = time.Now().Add(settled)
}

// revoke ends a grant, for no reason of ours.
func (y *year) revoke(account string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.ended[account] = true
	y.revoked[account] = time.Now().Add(-y.downtime)
}

// logIn is what a mail program does every few hours: it wants a good token, now.
func (y *year) logIn(a *Account) {
	y.logins++
	start := time.Now()
	y.next[a.Name()] = start.Add(time.Duration(y.chance.Int64N(int64(6 * time.Hour))))
	token, err := a.Token(y.Context(), "")
	waited := time.Since(start)

	y.mu.Lock()
	defer y.mu.Unlock()
	left := time.Until(y.ends[token])
	if err == nil && left <= 0 {
		y.Errorf("%s: a token that has ended: %s", a.Name(), token)
	}
	if y.down || y.ended[a.Name()] || start.Before(y.rough) {
		return
	}
	if err != nil || waited > 0 || left < life(a.Name())/3 {
		y.Errorf("%s, %v: a token with %v left, after %v: %v", a.Name(), start, left, waited, err)
	}
}

// attend acts for a person: it authorizes an account some hours after that is required.
func (y *year) attend(a *Account) {
	name, now := a.Name(), time.Now()
	asked, found := y.asked[name]
	switch needs := a.Status().State == NeedsAuthorization; {
	case needs && !found:
		y.asked[name] = now
		y.requests++
		if d := now.Add(-y.downtime).Sub(y.revoked[name]); d > 25*time.Hour {
			y.Errorf("%s: noticed after %v that the grant was withdrawn", name, d)
		}
	case needs && now.Sub(asked) > 3*time.Hour:
		if err := a.Keep(y.grant(name)); err != nil {
			y.Error(err)
		}
	case !needs:
		delete(y.asked, name)
	}
}

// TestYear simulates a year of five accounts: a person is asked to authorize an account
// as often as the provider ended its grant, and at no other time. Under the race
// detector it simulates two months; "make test" runs it without, too.
func TestYear(t *testing.T) {
	if testing.Short() && os.Getenv("XOAUTHD_E2E") != "required" {
		t.Skip("simulating a year takes seconds")
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, func(t *testing.T) {
		const step, month = 10 * time.Minute, 30 * 24 * time.Hour
		months := 12
		if race.Enabled {
			months = 2
		}
		y, revocations := newYear(t), 0
		begin := time.Now()
		for now := step; now < time.Duration(months)*month+5*24*time.Hour; now += step {
			y.mishap()
			if now%month == 0 {
				y.revoke(yearAccounts[revocations%len(yearAccounts)])
				revocations++
			}
			time.Sleep(time.Duration(y.chance.Int64N(int64(step - time.Minute))))
			for _, a := range y.accounts {
				y.attend(a)
				if strings.HasPrefix(a.Name(), "used") && time.Now().After(y.next[a.Name()]) {
					y.logIn(a)
				}
			}
			time.Sleep(time.Until(begin.Add(now)))
			if y.down {
				y.downtime += step
			}
		}
		y.stop()
		t.Logf("%d revocations, %d requests for authorization, %d logins, %d refreshes; %v, down for %v",
			revocations, y.requests, y.logins, y.serial, y.mishaps, y.downtime)
		if y.requests != revocations || revocations != months {
			t.Errorf("%d requests for authorization, want %d", y.requests, revocations)
		}
		if y.logins < 5000*months/12 || len(y.mishaps) != 3 || y.downtime < time.Duration(months)*48*time.Hour/12 {
			t.Error("too few logins or mishaps")
		}
	})
}
