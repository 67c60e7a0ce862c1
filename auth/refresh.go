package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

const (
	// refreshTime bounds one refresh. The client of the provider gives up
	// before; this is for one without a time limit.
	refreshTime = 30 * time.Second

	// After a passing failure the provider is left alone for a while that
	// doubles with each, or for as long as it asked, within reason.
	firstDelay    = 2 * time.Second
	maxDelay      = time.Minute
	maxRetryAfter = 15 * time.Minute

	// A withdrawn grant seldom comes back by itself, but it does: an
	// administrator lifts a block, a provider mends a fault of its own. A wrong
	// password sent more often would lock out whose it is.
	consentDelay = 15 * time.Minute

	// A mended registration should not take long to be noticed.
	misconfiguredDelay = time.Minute

	// forcedDelay is between refreshes of tokens that should be good, but
	// that the mail server refuses: more of them would not help.
	forcedDelay = time.Minute

	// resaveAfter is between tries to save a grant: a full disk stays full.
	resaveAfter = 10 * time.Second
)

// A backoff is how long a provider is left alone after passing failures.
type backoff time.Duration

// grow returns how long that is after e, one more of them. A provider that comes
// back should not meet all at once, so it is a little longer each time.
func (b *backoff) grow(e *Error) time.Duration {
	d := min(max(2*time.Duration(*b), firstDelay), maxDelay)
	*b = backoff(d)
	return max(d+rand.N(d/4), min(e.RetryAfter, maxRetryAfter))
}

// ofAccount reports whether the provider refuses this one account, and would
// take another with the same registration: its grant has ended, there is no such
// mailbox, or its password is wrong.
func (e *Error) ofAccount() bool {
	return e.Kind == Consent || e.Kind == Misconfigured && e.Code == "invalid_grant"
}

// A refresh is one call to the provider, for all who wait for it.
type refresh struct {
	done  chan struct{} // closed once token and err are set
	token string
	err   error

	doubt time.Time // when an earlier one began to which no answer was received; zero if there is none
}

// mayRefresh returns why the provider must not be asked now. Moments to come
// are compared by the monotonic clock: setting the clock must not prolong them.
// The caller holds mu.
func (a *Account) mayRefresh(now time.Time, stale string) error {
	switch {
	case a.damage != nil:
		return &Error{Kind: Consent, Err: a.damage} // or who restores the file
	case a.grant.empty() && a.flow == nil:
		return a.ungranted()
	case !a.renewable():
		return noRefreshToken()
	case a.failure != nil && now.Before(a.retry):
		return a.failure
	case stale == "" || stale != a.grant.AccessToken || !a.fresh(now):
		return nil
	case !a.forced.IsZero() && now.Before(a.forced.Add(forcedDelay)):
		return a.refused(now)
	}
	return nil
}

// renewable reports whether another access token can be had without a person.
// The caller holds mu.
func (a *Account) renewable() bool { return a.flow != nil || a.grant.RefreshToken != "" }

// fresh reports whether the access token need not be replaced yet. The caller
// holds mu.
func (a *Account) fresh(now time.Time) bool { return a.grant.fresh(now, a.renewable()) }

// begin starts a refresh. It goes on when ctx is done: the provider may have
// put another refresh token in the place of the old one, and it must then not
// be lost. The caller holds mu.
func (a *Account) begin(ctx context.Context, now time.Time) *refresh {
	r := &refresh{done: make(chan struct{})}
	a.refreshing, a.asked = r, now
	g := a.grant
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTime)
		defer cancel()
		a.noteBegin(r, now)
		next, err := a.renewed(ctx, g)
		a.finish(r, g, next, err)
	}()
	return r
}

// renewed is g with another access token. A panic, at what some endpoint or
// command has said, is a fault of this account alone.
func (a *Account) renewed(ctx context.Context, g Grant) (next Grant, err error) {
	defer func() {
		if v := recover(); v != nil {
			a.log.Error("panic", "why", oneLine(fmt.Sprint(v)), "stack", string(debug.Stack()))
			next, err = g, &Error{Kind: Passing, Err: errors.New("internal error; see the log of xoauthd")}
		}
	}()
	return a.provider.renew(ctx, a.flow, g)
}

// finish makes what r brought the account's own, unless a person's new grant
// has ended r before. For the crash that may come at any moment, the grant is
// saved before the token is used.
func (a *Account) finish(r *refresh, before, next Grant, err error) {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	current := a.refreshing == r
	a.mu.Unlock()
	if !current {
		return
	}
	next, e := a.judge(next, err, r.doubt)
	if next != before {
		a.save(next) // if that fails the grant is used all the same
	}
	wait := a.settle(next, e)
	if e == nil {
		a.log.Info("token refreshed", "expiry", next.Expiry)
		return
	}
	a.saveRecord()
	a.logFailure(e, wait)
}

// logFailure logs that a refresh failed with e, and is tried again after wait.
func (a *Account) logFailure(e *Error, wait time.Duration) {
	attrs := []any{"kind", string(failedRefresh(e, time.Now()).Kind), "error", e.Error(), "retry_seconds", int(wait.Seconds())}
	if h := e.Hint(); h != "" {
		attrs = append(attrs, "hint", h)
	}
	level := slog.LevelError
	if e.Kind == Passing {
		level = slog.LevelWarn
	}
	a.log.Log(context.Background(), level, "token refresh failed", attrs...)
}

// judge records the meaning of err in g, the result of a refresh, and returns the error to
// report, or nil. doubt is when an earlier refresh began whose answer was lost; zero if there
// was none.
func (a *Account) judge(g Grant, err error, doubt time.Time) (Grant, *Error) {
	if err == nil {
		g.Hint = ""
		return g, nil
	}
	e := a.provider.failure(err)
	switch {
	case e.Kind == Consent:
		if a.provider.endedInTesting(g, e) {
			e.hint = hintTesting
		}
		if !doubt.IsZero() && unexplained(e.Hint()) {
			e.hint = hintLost(doubt)
		}
		g.Withdrawn, g.Hint = e.Error(), e.Hint()
	case g.Withdrawn != "": // and stays so, whatever else goes wrong
		e = &Error{Kind: Consent, Err: errors.New(g.Withdrawn), hint: g.Hint}
	}
	return g, e
}

// settle ends the refresh under way with g, and with e if it failed. It returns
// how long the provider is left alone then.
func (a *Account) settle(g Grant, e *Error) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grant, a.jitter = g, rand.Float64()
	if e == nil {
		a.unrecorded = a.unrecorded || !a.begun.IsZero()
		a.begun = time.Time{}
		a.succeeded()
		a.end(g.AccessToken, nil)
		return 0
	}
	if !e.lost {
		a.begun = a.refreshing.doubt
	}
	switch {
	case e.ofAccount():
		wait = consentDelay
	case e.Kind == Misconfigured:
		wait = misconfiguredDelay
	default:
		wait = a.delay.grow(e)
	}
	now := time.Now()
	a.failure, a.failed, a.retry = e, a.failed.again(failedRefresh(e, now)), now.Add(wait)
	a.unrecorded = true // until finish has written it
	a.end("", e)
	return wait
}

// end tells those who wait. The caller holds mu.
func (a *Account) end(token string, err error) {
	r := a.refreshing
	a.refreshing = nil
	r.token, r.err = token, err
	close(r.done)
}

// succeeded lifts what failures have brought about. The caller holds mu.
func (a *Account) succeeded() {
	if a.failed.Kind != "" {
		a.note(true)
	}
	a.failure, a.failed, a.delay, a.retry = nil, Problem{}, 0, time.Time{}
}

// save makes the store have g, or nothing if that is empty, and notes how that
// went. Its error is an ErrNotSaved or an ErrNotRemoved. The caller holds saving.
func (a *Account) save(g Grant) error {
	var err error
	fault := ErrNotSaved
	if g.empty() {
		err, fault = a.store.Remove(a.name, a.source()), ErrNotRemoved
	} else {
		g.Source = a.source()
		err = a.store.Save(a.name, g)
	}
	if err != nil {
		a.log.Error(fault.Error(), "why", oneLine(err.Error()))
		err = fmt.Errorf("%w: %w", fault, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unsaved, a.resave = err, time.Now().Add(resaveAfter)
	return err
}

// saveIfDue saves, without waiting for it, a grant that could not be saved some
// time ago. The caller holds mu.
func (a *Account) saveIfDue(now time.Time) {
	if a.unsaved != nil && !now.Before(a.resave) {
		a.resave = now.Add(resaveAfter)
		go a.saveAgain()
	}
}

// saveAgain saves a grant that could not be saved before.
func (a *Account) saveAgain() error {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	g, unsaved := a.grant, a.unsaved != nil
	a.mu.Unlock()
	if !unsaved {
		return nil
	}
	return a.save(g)
}

// refused is the error for a token that the mail server refuses and that must
// not be replaced yet. The caller holds mu.
func (a *Account) refused(now time.Time) error {
	wait := max(a.forced.Add(forcedDelay).Sub(now), time.Second)
	return &Error{Kind: Passing, refused: true, Err: fmt.Errorf(
		"the mail server refuses the access token; next refresh in %d s", int(wait.Seconds()))}
}

// ungranted is the error for an account without a grant. The caller holds mu.
func (a *Account) ungranted() *Error {
	if a.revoked != nil {
		return &Error{Kind: Consent, revoked: true, Err: errors.New(a.revoked.String())}
	}
	return neverAuthorized()
}

func neverAuthorized() *Error {
	return &Error{Kind: Consent, Err: errors.New("the account has never been authorized")}
}

func noRefreshToken() *Error {
	return &Error{Kind: Consent, Err: errors.New("the provider gave no refresh token with the last authorization")}
}
