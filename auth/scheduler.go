package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

const (
	// A token is in use if a login requested one within this time: a daily job that is
	// sometimes late must not wait either.
	inUse = 26 * time.Hour

	// A token in use is refreshed at half of its life, or up to a tenth of it later: some
	// servers end a session with its token.
	inUseSpread = 0.1

	// Tokens with a shorter life are refreshed by logins only: they would need many
	// requests.
	shortLife = 4 * oauth.ExpiryMargin

	// A grant that is not in use is refreshed at this age, or up to a fifth of it later:
	// the end of a grant is then known within a day, and no grant expires for lack of use
	// (90 days at Microsoft, 6 months at Google).
	idleAge    = 20 * time.Hour
	idleSpread = 0.2

	// misconfiguredAge is the interval of requests for an account while the provider rejects
	// the registration. Logins notice a correction sooner.
	misconfiguredAge = time.Hour

	// pace is the interval of two requests to a provider, however many accounts wait, as
	// after an outage. It refreshes two thousand accounts in half an hour, which is half of
	// the usual life of a token.
	pace = 500 * time.Millisecond

	// wakeUp is the longest sleep. Timers stop while a laptop sleeps, so a wake-up is
	// noticed this late.
	wakeUp = time.Minute
)

// RefreshAll refreshes tokens in use before a login has to wait, and unused grants before they
// expire, until ctx is done. A running refresh goes on then; Account.Wait waits for it.
func RefreshAll(ctx context.Context, accounts []*Account) {
	byProvider := make(map[*oauth.Provider][]*Account)
	for _, a := range accounts {
		byProvider[a.provider] = append(byProvider[a.provider], a)
	}
	var all sync.WaitGroup
	for _, accounts := range byProvider {
		all.Go(func() { refreshProvider(ctx, accounts) })
	}
	all.Wait()
}

// refreshProvider refreshes the accounts of one provider, one after the other. Logins do not wait
// for it; they refresh themselves. While a provider fails, the interval grows: other requests
// would fail too.
func refreshProvider(ctx context.Context, accounts []*Account) {
	var trouble backoff
	for {
		a, resource, pause := mostUrgent(accounts, time.Now())
		if pause <= 0 {
			r := a.refreshIfDue(ctx, resource)
			if r == nil {
				continue
			}
			select {
			case <-r.done:
			case <-ctx.Done():
				return
			}
			pause = pauseAfter(r.err, &trouble)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// mostUrgent returns the account and resource that are due first, and the time until then;
// none if that is after wakeUp.
func mostUrgent(accounts []*Account, now time.Time) (first *Account, of oauth.Resource, in time.Duration) {
	in = wakeUp
	for _, a := range accounts {
		a.mu.Lock()
		a.saveIfDue(now)
		a.recordIfDue(now)
		for _, r := range a.provider.AllResources() {
			if d, ok := a.dueIn(now, r); ok && d < in {
				first, of, in = a, r, d
			}
		}
		a.mu.Unlock()
	}
	return first, of, in
}

// pauseAfter returns the pause before the next request to a provider after err.
func pauseAfter(err error, trouble *backoff) time.Duration {
	var e *oauth.Error
	if !errors.As(err, &e) || e.OfAccount() {
		*trouble = 0
		return pace
	}
	return trouble.grow(e)
}

// refreshIfDue starts a refresh, unless a login or a person has done so.
func (a *Account) refreshIfDue(ctx context.Context, r oauth.Resource) *refresh {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if d, ok := a.dueIn(now, r); !ok || d > 0 {
		return nil
	}
	return a.begin(ctx, now, r)
}

// dueIn returns when the next background refresh for r is due; ok is false for never. The age
// of a token goes by the wall clock, which runs while a laptop sleeps; everything else by the
// monotonic clock, which nobody sets. The caller holds mu.
func (a *Account) dueIn(now time.Time, r oauth.Resource) (d time.Duration, ok bool) {
	if a.damage != nil || !a.refreshable() || a.refreshing != nil || a.unused(now, r) {
		return 0, false
	}
	s := a.state(r)
	if r != oauth.Mail {
		if d, ok = a.otherDueIn(now, r); !ok {
			return 0, false
		}
	} else {
		d = a.tokenDueIn(now, r)
	}
	idle := s.asked.Add(idleAge + a.spread(idleAge, idleSpread)).Sub(now)
	switch {
	case a.grant.Withdrawn != "":
		d = max(d, idle)
	case s.failure == nil && s.failed.Kind != "": // from before a restart
		d = 0
	case s.failure == nil:
	case s.failure.Kind == oauth.NeedsConsent: // for this resource only
		d = idle
	case s.failure.Kind == oauth.Misconfigured: // ask before a token is due, to notice a correction
		d = s.asked.Add(misconfiguredAge).Sub(now)
	default:
		d = s.retry.Sub(now)
	}
	return d, true
}

// tokenDueIn returns when the token for r is due by its age. The caller holds mu.
func (a *Account) tokenDueIn(now time.Time, r oauth.Resource) time.Duration {
	t := a.grant.Token(r)
	issued := t.Issued.Round(0)
	life := t.Expiry.Sub(issued)
	switch {
	case t.AccessToken == "", issued.After(now.Add(oauth.ClockTolerance)):
		return 0 // no token, or one from a clock that was ahead
	case life >= shortLife && now.Sub(a.state(r).used) < inUse:
		return issued.Add(life/2 + a.spread(life, inUseSpread)).Sub(now)
	}
	return issued.Add(idleAge + a.spread(idleAge, idleSpread)).Sub(now)
}

// otherDueIn is tokenDueIn for another resource than Mail. A token that is not in use is
// refreshed by the next login: the refreshes for Mail keep the grant. The first token is
// requested at once, to find out whether the grant has the scopes of a resource that was
// configured after the consent. The caller holds mu.
func (a *Account) otherDueIn(now time.Time, r oauth.Resource) (d time.Duration, ok bool) {
	s := a.state(r)
	if a.grant.Withdrawn != "" {
		return 0, false
	}
	if a.grant.Token(r).AccessToken != "" && s.failure == nil && now.Sub(s.used) >= inUse {
		return 0, false
	}
	return a.tokenDueIn(now, r), true
}

// unused reports whether the account needs no person and no login has used its token for r
// lately. The caller holds mu.
func (a *Account) unused(now time.Time, r oauth.Resource) bool {
	return !a.Interactive() && now.Sub(a.state(r).used) >= inUse
}

// idle is unused for callers that do not hold mu.
func (a *Account) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unused(time.Now(), oauth.Mail)
}

// spread returns a random part of d, so that accounts do not refresh at the same time.
func (a *Account) spread(d time.Duration, part float64) time.Duration {
	return time.Duration(a.jitter * part * float64(d))
}
