package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/panics"
)

const (
	// The pause after a temporary failure doubles with each, from firstDelay to maxDelay. A
	// provider can ask for a longer one, up to oauth.MaxRetryAfter.
	firstDelay = 2 * time.Second
	maxDelay   = time.Minute

	// A withdrawn grant can become valid again: an administrator lifts a block, or the
	// provider corrects a fault. A wrong password that is sent more often could lock the user.
	consentDelay = 15 * time.Minute

	// A corrected registration is noticed within this time.
	misconfiguredDelay = time.Minute

	// forcedDelay is the pause between refreshes of valid tokens that a server refuses:
	// more refreshes would not help.
	forcedDelay = time.Minute

	// resaveAfter is the pause between attempts to save a grant.
	resaveAfter = 10 * time.Second
)

// A backoff is the pause after temporary failures.
type backoff time.Duration

// grow returns the pause after e, one more failure. A random part of it prevents that all
// accounts ask a provider at the same time after an outage.
func (b *backoff) grow(e *oauth.Error) time.Duration {
	d := min(max(2*time.Duration(*b), firstDelay), maxDelay)
	*b = backoff(d)
	return max(d+rand.N(d/4), min(e.RetryAfter, oauth.MaxRetryAfter))
}

// A refresh is one request to the provider, and its result for all waiting callers.
type refresh struct {
	done     chan struct{} // closed once the other fields are set
	resource oauth.Resource
	token    string
	err      error

	doubt time.Time // when an earlier one began to which no answer was received; zero if there is none
}

// A refreshState is what an account knows of the refreshes of its token for one resource.
type refreshState struct {
	failure *oauth.Error // of the last refresh
	failed  Problem      // the same, with those before it
	delay   backoff      // between temporary failures
	retry   time.Time    // no refresh before, while there is a failure
	forced  time.Time    // the last refresh of a token that was still valid
	used    time.Time    // when a login last asked for a token
	asked   time.Time    // when the provider was last asked for one
}

// state returns the refreshState of r. The caller holds mu.
func (a *Account) state(r oauth.Resource) *refreshState {
	s := a.states[r]
	if s == nil {
		s = new(refreshState)
		if a.states == nil {
			a.states = make(map[oauth.Resource]*refreshState)
		}
		a.states[r] = s
	}
	return s
}

// mayRefresh returns an error while the provider must not be asked. Future times are compared
// by the monotonic clock: setting the clock must not prolong them. The caller holds mu.
func (a *Account) mayRefresh(now time.Time, r oauth.Resource, stale string) error {
	s := a.state(r)
	e := a.needsConsent(now)
	if r == oauth.Mail && a.grant.Withdrawn != "" { // the refreshes for Mail find out whether that is over
		e = nil
	}
	switch {
	case e != nil:
		return e
	case !a.refreshable():
		return oauth.NoRefreshToken()
	case s.failure != nil && now.Before(s.retry):
		return s.failure
	case stale == "" || stale != a.grant.Token(r).AccessToken || !a.fresh(now, r):
		return nil
	case !s.forced.IsZero() && now.Before(s.forced.Add(forcedDelay)):
		return a.refused(now, r)
	}
	return nil
}

// refreshable reports whether the account can obtain another access token without a person.
// The caller holds mu.
func (a *Account) refreshable() bool { return !a.Interactive() || a.grant.RefreshToken != "" }

// fresh reports whether the access token for r need not be replaced yet. The caller holds mu.
func (a *Account) fresh(now time.Time, r oauth.Resource) bool {
	return a.grant.Fresh(r, now, a.refreshable())
}

// begin starts a refresh for a resource. It goes on when ctx is done: the provider may have
// replaced the refresh token, and the new one must not be lost. The caller holds mu.
func (a *Account) begin(ctx context.Context, now time.Time, of oauth.Resource) *refresh {
	r := &refresh{done: make(chan struct{}), resource: of}
	a.refreshing, a.state(of).asked = r, now
	g := a.grant
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), oauth.RefreshTimeout)
		defer cancel()
		a.noteBegin(r, now)
		next, err := a.obtain(ctx, g, of)
		a.finish(r, g, next, err)
	}()
	return r
}

// obtain returns g with another access token. A panic ends only this refresh.
func (a *Account) obtain(ctx context.Context, g oauth.Grant, of oauth.Resource) (next oauth.Grant, err error) {
	err = panics.Catch(func() error {
		next, err = a.provider.RefreshFor(ctx, a.flow, g, of)
		return err
	})
	if panics.Log(a.log, err) {
		return g, &oauth.Error{Kind: oauth.Temporary, Err: errors.New("internal error; see the log of xoauthd")}
	}
	return next, err
}

// finish takes over the result of r, unless a new grant of a person has ended r. The grant is
// saved before its token is used: xoauthd may crash at any time.
func (a *Account) finish(r *refresh, before, next oauth.Grant, err error) {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	current := a.refreshing == r
	a.mu.Unlock()
	if !current {
		return
	}
	next, e := a.judge(next, err, r)
	if !reflect.DeepEqual(next, before) {
		a.save(next) // if that fails, the grant is used nevertheless
	}
	wait := a.settle(next, e)
	if e == nil {
		log := a.logOf(r.resource)
		log.Info("token refreshed", "expires", next.Token(r.resource).Expiry)
		return
	}
	a.saveRecord()
	a.logFailure(r.resource, e, wait)
}

// logOf returns the log for a resource.
func (a *Account) logOf(r oauth.Resource) *slog.Logger {
	if r == oauth.Mail {
		return a.log
	}
	return a.log.With("resource", string(r))
}

// logFailure logs that a refresh failed with e, and is tried again after wait.
func (a *Account) logFailure(r oauth.Resource, e *oauth.Error, wait time.Duration) {
	attrs := []any{"kind", string(failedRefresh(r, e, time.Now()).Kind), "error", e.Error(), "retry_seconds", int(wait.Seconds())}
	if h := e.Hint(); h != "" {
		attrs = append(attrs, "hint", h)
	}
	level := slog.LevelError
	if e.Kind == oauth.Temporary {
		level = slog.LevelWarn
	}
	log := a.logOf(r)
	log.Log(context.Background(), level, "token refresh failed", attrs...)
}

// judge records the meaning of err in g, the result of r, and returns the error to report, or
// nil. A failure for another resource than Mail is not recorded in the grant: it may concern
// that resource only.
func (a *Account) judge(g oauth.Grant, err error, r *refresh) (oauth.Grant, *oauth.Error) {
	if err == nil {
		if r.resource == oauth.Mail {
			g.Hint = ""
		}
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
		} else if !r.doubt.IsZero() && e.Unexplained() {
			e.Remedy = hintLost(r.doubt)
		}
		if r.resource == oauth.Mail {
			g.Withdrawn, g.Hint = e.Error(), e.Hint()
		}
	case g.Withdrawn != "": // another failure does not make the grant valid
		e = &oauth.Error{Kind: oauth.NeedsConsent, Err: errors.New(g.Withdrawn), Remedy: g.Hint}
	}
	return g, e
}

// settle ends the running refresh with g, and with e if it failed. It returns the time until
// the provider is asked again.
func (a *Account) settle(g oauth.Grant, e *oauth.Error) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.refreshing.resource
	s := a.state(r)
	a.grant, a.jitter = g, rand.Float64()
	if e == nil {
		a.unrecorded = a.unrecorded || !a.begun.IsZero()
		a.begun = time.Time{}
		a.succeeded(r)
		a.end(g.Token(r).AccessToken, nil)
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
		wait = s.delay.grow(e)
	}
	now := time.Now()
	s.failure, s.failed, s.retry = e, s.failed.again(failedRefresh(r, e, now)), now.Add(wait)
	a.unrecorded = true // until finish has written it
	a.end("", e)
	return wait
}

// end ends the running refresh for its callers. The caller holds mu.
func (a *Account) end(token string, err error) {
	r := a.refreshing
	a.refreshing = nil
	r.token, r.err = token, err
	close(r.done)
}

// succeeded ends the failure of a resource. The caller holds mu.
func (a *Account) succeeded(r oauth.Resource) {
	s := a.state(r)
	if s.failed.Kind != "" {
		a.note(true)
	}
	s.failure, s.failed, s.delay, s.retry = nil, Problem{}, 0, time.Time{}
}

// save stores g, or removes the stored grant if g is empty. Its error is an ErrNotSaved or an
// ErrNotRemoved. The caller holds saving.
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

// saveIfDue saves, in the background, a grant whose last save failed. The caller holds mu.
func (a *Account) saveIfDue(now time.Time) {
	if a.unsaved != nil && !now.Before(a.resave) {
		a.resave = now.Add(resaveAfter)
		go a.saveAgain()
	}
}

// saveAgain saves a grant whose last save failed.
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

// refused returns the error for a refused token that must not be replaced yet. The caller
// holds mu.
func (a *Account) refused(now time.Time, r oauth.Resource) error {
	server := "the mail server"
	if r != oauth.Mail {
		server = string(r)
	}
	wait := max(a.state(r).forced.Add(forcedDelay).Sub(now), time.Second)
	return &oauth.Error{Kind: oauth.Temporary, Refused: true, Err: fmt.Errorf(
		"%s refuses the access token; next refresh in %d s", server, int(wait.Seconds()))}
}
