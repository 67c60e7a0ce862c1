package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/panics"
)

const (
	// After a passing failure the provider is left alone for a while that
	// doubles with each, or for as long as it asked, up to oauth.MaxRetryAfter.
	firstDelay = 2 * time.Second
	maxDelay   = time.Minute

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
func (b *backoff) grow(e *oauth.Error) time.Duration {
	d := min(max(2*time.Duration(*b), firstDelay), maxDelay)
	*b = backoff(d)
	return max(d+rand.N(d/4), min(e.RetryAfter, oauth.MaxRetryAfter))
}

// A refresh is one call to the provider, for all callers that wait for it.
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
		return &oauth.Error{Kind: oauth.NeedsConsent, Err: a.damage} // or restoring the file
	case a.grant.Empty() && a.Interactive():
		return a.ungranted()
	case !a.refreshable():
		return oauth.NoRefreshToken()
	case a.failure != nil && now.Before(a.retry):
		return a.failure
	case stale == "" || stale != a.grant.AccessToken || !a.fresh(now):
		return nil
	case !a.forced.IsZero() && now.Before(a.forced.Add(forcedDelay)):
		return a.refused(now)
	}
	return nil
}

// refreshable reports whether the account can obtain another access token without a person.
// The caller holds mu.
func (a *Account) refreshable() bool { return !a.Interactive() || a.grant.RefreshToken != "" }

// fresh reports whether the access token need not be replaced yet. The caller
// holds mu.
func (a *Account) fresh(now time.Time) bool { return a.grant.Fresh(now, a.refreshable()) }

// begin starts a refresh. It goes on when ctx is done: the provider may have
// put another refresh token in the place of the old one, and it must then not
// be lost. The caller holds mu.
func (a *Account) begin(ctx context.Context, now time.Time) *refresh {
	r := &refresh{done: make(chan struct{})}
	a.refreshing, a.asked = r, now
	g := a.grant
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), oauth.RefreshTimeout)
		defer cancel()
		a.noteBegin(r, now)
		next, err := a.obtain(ctx, g)
		a.finish(r, g, next, err)
	}()
	return r
}

// obtain returns g with another access token. A panic ends only this refresh.
func (a *Account) obtain(ctx context.Context, g oauth.Grant) (next oauth.Grant, err error) {
	err = panics.Catch(func() error {
		next, err = a.provider.Refresh(ctx, a.flow, g)
		return err
	})
	if panics.Log(a.log, err) {
		return g, &oauth.Error{Kind: oauth.Temporary, Err: errors.New("internal error; see the log of xoauthd")}
	}
	return next, err
}

// finish makes what r brought the account's own, unless a person's new grant
// has ended r before. For the crash that may come at any moment, the grant is
// saved before the token is used.
func (a *Account) finish(r *refresh, before, next oauth.Grant, err error) {
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
		a.log.Info("token refreshed", "expires", next.Expiry)
		return
	}
	a.saveRecord()
	a.logFailure(e, wait)
}

// logFailure logs that a refresh failed with e, and is tried again after wait.
func (a *Account) logFailure(e *oauth.Error, wait time.Duration) {
	attrs := []any{"kind", string(failedRefresh(e, time.Now()).Kind), "error", e.Error(), "retry_seconds", int(wait.Seconds())}
	if h := e.Hint(); h != "" {
		attrs = append(attrs, "hint", h)
	}
	level := slog.LevelError
	if e.Kind == oauth.Temporary {
		level = slog.LevelWarn
	}
	a.log.Log(context.Background(), level, "token refresh failed", attrs...)
}

// judge records the meaning of err in g, the result of a refresh, and returns the error to
// report, or nil. doubt is when an earlier refresh began whose answer was lost; zero if there
// was none.
func (a *Account) judge(g oauth.Grant, err error, doubt time.Time) (oauth.Grant, *oauth.Error) {
	if err == nil {
		g.Hint = ""
		return g, nil
	}
	var e *oauth.Error
	if !errors.As(err, &e) {
		e = &oauth.Error{Kind: oauth.Temporary, Err: err}
	}
	switch {
	case e.Kind == oauth.NeedsConsent:
		if a.provider.EndedInTesting(g, e) {
			e.Remedy = oauth.HintTesting
		}
		if !doubt.IsZero() && e.Unexplained() {
			e.Remedy = hintLost(doubt)
		}
		g.Withdrawn, g.Hint = e.Error(), e.Hint()
	case g.Withdrawn != "": // and stays so, whatever else goes wrong
		e = &oauth.Error{Kind: oauth.NeedsConsent, Err: errors.New(g.Withdrawn), Remedy: g.Hint}
	}
	return g, e
}

// settle ends the refresh under way with g, and with e if it failed. It returns
// how long the provider is left alone then.
func (a *Account) settle(g oauth.Grant, e *oauth.Error) (wait time.Duration) {
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
	if !e.Lost {
		a.begun = a.refreshing.doubt
	}
	switch {
	case e.OfAccount():
		wait = consentDelay
	case e.Kind == oauth.Misconfigured:
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

// end completes the refresh for all waiting callers. The caller holds mu.
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
func (a *Account) save(g oauth.Grant) error {
	var err error
	message, fault := "grant not saved", ErrNotSaved
	if g.Empty() {
		message, fault = "grant not removed", ErrNotRemoved
		err = a.store.Remove(a.name, a.source)
	} else {
		g.Source = a.source
		err = a.store.Save(a.name, g)
	}
	if err != nil {
		a.log.Error(message, "error", oauth.OneLine(err.Error()))
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
	return &oauth.Error{Kind: oauth.Temporary, Refused: true, Err: fmt.Errorf(
		"the mail server refuses the access token; next refresh in %d s", int(wait.Seconds()))}
}

// ungranted is the error for an account without a grant. The caller holds mu.
func (a *Account) ungranted() *oauth.Error {
	if a.revoked != nil {
		return &oauth.Error{Kind: oauth.NeedsConsent, Revoked: true, Err: errors.New(a.revoked.String())}
	}
	return neverAuthorized()
}

func neverAuthorized() *oauth.Error {
	return &oauth.Error{Kind: oauth.NeedsConsent, Err: errors.New("the account has never been authorized")}
}
