package auth

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// A token is in use if a login asked for one within this time: a job that
	// runs once a day, and is late now and then, should not wait either.
	inUse = 26 * time.Hour

	// A token in use is refreshed at half of its life or a tenth of it later:
	// servers that end a session with its token should get most of its life.
	inUseSpread = 0.1

	// Tokens of a shorter life are left to the logins: its half is hardly over
	// before a login replaces them anyway, and they would take many requests.
	shortLife = 4 * early

	// A grant that is not in use is refreshed at this age or a fifth of it later:
	// one that a provider ended is then known within a day, and none ends for
	// disuse (after 90 days at Microsoft, and 6 months at Google).
	idleAge    = 20 * time.Hour
	idleSpread = 0.2

	// misconfiguredAge is between requests for one account with a registration
	// that the provider does not take: logins find out sooner that it was mended.
	misconfiguredAge = time.Hour

	// pace is between two requests to a provider, however many accounts wait:
	// after a night or an outage all of them do. Two thousand accounts are still
	// refreshed within half an hour, which is half of a usual token's life.
	pace = 500 * time.Millisecond

	// wakeUp is the longest sleep. Timers stand still while a laptop sleeps, so
	// that this is how late its waking is noticed.
	wakeUp = time.Minute
)

// Renew refreshes the tokens of accounts before a login has to wait for that,
// and grants not in use before they lapse, until ctx is done. What is under way
// then goes on; Account.Wait waits for it.
func Renew(ctx context.Context, accounts []*Account) {
	byProvider := make(map[*Provider][]*Account)
	for _, a := range accounts {
		byProvider[a.provider] = append(byProvider[a.provider], a)
	}
	var all sync.WaitGroup
	for _, accounts := range byProvider {
		all.Go(func() { renewAll(ctx, accounts) })
	}
	all.Wait()
}

// renewAll renews the accounts of one provider, one after the other; logins do
// not queue here, they refresh for themselves. A provider in trouble is asked
// ever more slowly, for one account at a time: the others' requests would fare
// no better.
func renewAll(ctx context.Context, accounts []*Account) {
	var trouble backoff
	for {
		a, pause := mostUrgent(accounts, time.Now())
		if pause <= 0 {
			r := a.renew(ctx)
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

// mostUrgent returns the account that is due first, and in how long; none if
// that is after wakeUp.
func mostUrgent(accounts []*Account, now time.Time) (first *Account, in time.Duration) {
	in = wakeUp
	for _, a := range accounts {
		a.mu.Lock()
		a.saveIfDue(now)
		a.recordIfDue(now)
		if d, ok := a.dueIn(now); ok && d < in {
			first, in = a, d
		}
		a.mu.Unlock()
	}
	return first, in
}

// pauseAfter is how long a provider is left alone after a request that ended
// with err.
func pauseAfter(err error, trouble *backoff) time.Duration {
	var e *Error
	if !errors.As(err, &e) || e.ofAccount() {
		*trouble = 0
		return pace
	}
	return trouble.grow(e)
}

// renew begins a refresh, unless a login or a person came first.
func (a *Account) renew(ctx context.Context) *refresh {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if d, ok := a.dueIn(now); !ok || d > 0 {
		return nil
	}
	return a.begin(ctx, now)
}

// dueIn is how long the grant can do without a refresh in the background; not
// ok means for ever. The age of a grant is counted by the wall clock, which goes
// on while a laptop sleeps, and all else by the monotonic, which nobody sets.
// The caller holds mu.
func (a *Account) dueIn(now time.Time) (d time.Duration, ok bool) {
	g, issued := a.grant, a.grant.issued().Round(0)
	if a.damage != nil || !a.renewable() || a.refreshing != nil {
		return 0, false
	}
	if a.unused(now) { // whose token lapses without harm
		return 0, false
	}
	switch life := g.Expiry.Sub(issued); {
	case g.AccessToken == "", issued.After(now.Add(setBack)):
		d = 0 // nothing to log in with, or from a clock that was ahead
	case life >= shortLife && now.Sub(a.used) < inUse:
		d = issued.Add(life/2 + a.spread(life, inUseSpread)).Sub(now)
	default:
		d = issued.Add(idleAge + a.spread(idleAge, idleSpread)).Sub(now)
	}
	switch {
	case g.Withdrawn != "":
		d = max(d, a.asked.Add(idleAge+a.spread(idleAge, idleSpread)).Sub(now))
	case a.failure == nil && a.failed.Kind != "": // as it was before a restart
		d = 0
	case a.failure == nil:
	case a.failure.Kind == Misconfigured: // and from here on also before a token is due: to see whether that is over
		d = a.asked.Add(misconfiguredAge).Sub(now)
	default:
		d = a.retry.Sub(now)
	}
	return d, true
}

// unused reports whether nobody asks for the tokens of an account that gets others
// without a person at any time. The caller holds mu.
func (a *Account) unused(now time.Time) bool { return a.flow != nil && now.Sub(a.used) >= inUse }

// idle is unused, for who does not hold mu.
func (a *Account) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unused(time.Now())
}

// spread is up to this part of d, so that accounts do not fall into step.
func (a *Account) spread(d time.Duration, part float64) time.Duration {
	return time.Duration(a.jitter * part * float64(d))
}
