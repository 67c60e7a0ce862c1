// Package auth keeps the grants of accounts at OAuth 2.0 providers valid: it refreshes access
// tokens before a login needs one, revokes grants, and knows the state of each account.
//
// No network failure, HTTP error or malformed answer deletes a grant. A rotated refresh token
// is on disk before the access token that came with it is used. If the disk fails, the grant
// is used nevertheless, and saved later.
package auth

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/redact"
)

// ErrNotSaved is in the chain if a grant is in use but not on disk.
var ErrNotSaved = errors.New("the grant is in use, but could not be saved")

// ErrEarlierKept is in the chain if a new grant without a refresh token did not replace one
// with a refresh token.
var ErrEarlierKept = errors.New("the new grant has no refresh token, so the earlier one, which has, was kept")

// An Account is a mailbox at a provider with its grant. Its methods may be called
// concurrently.
//
// It has two locks. mu guards every field, and is never held during network or disk access.
// saving is held while a grant is written, so that the disk has the last one. A holder of
// saving may take mu, but not the reverse.
type Account struct {
	name     string
	provider *oauth.Provider
	flow     oauth.Flow // nil: a person consents
	store    *store.Store
	log      *slog.Logger

	saving    sync.Mutex
	recording sync.Mutex // held while the record goes to disk; see record.go

	mu         sync.Mutex
	grant      oauth.Grant
	generation int       // counts the grants that people gave, and those that were forgotten
	damage     error     // why the store has no grant of use, though it has a file
	unsaved    error     // why the store does not have grant
	resave     time.Time // when to try again

	refreshing *refresh     // the one under way
	failure    *oauth.Error // of the last refresh
	failed     Problem      // the same, with those before it
	delay      backoff      // between passing failures
	retry      time.Time    // no refresh before, while there is a failure
	forced     time.Time    // the last refresh of a token that had life left

	logins   map[string]time.Time // the last that a mail server accepted, by protocol
	refusals map[string]Problem   // of mail servers since, by protocol
	revoked  *Revocation          // of the last grant, if no other came after it
	begun    time.Time            // the last refresh to which no answer was received; zero if there is none

	unrecorded  bool      // the record on disk is not what is known
	recordSoon  bool      // and differs in more than a number
	recorded    time.Time // when it was last written
	recordFault error     // of that

	used   time.Time // when a login last asked for a token
	asked  time.Time // when the provider was last asked for one
	jitter float64   // from 0 to 1, another after each refresh
}

// NewAccount returns an account with its stored grant. A nil flow means that a person
// consents. An unreadable file is logged and kept; the account then needs authorization. The
// log may be nil.
func NewAccount(name string, p *oauth.Provider, f oauth.Flow, s *store.Store, log *slog.Logger) *Account {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	now := time.Now()
	a := &Account{
		name: name, provider: p, flow: f, store: s, log: log.With("account", name, "provider", p.Name),
		asked:  now.Add(-rand.N(idleAge)), // so that restarts do not use a withdrawn grant each time
		jitter: rand.Float64(),
	}
	switch f := f.(type) {
	case oauth.AppPassword:
		p.KeepSecrets(string(f))
		a.restore()
		return a
	case oauth.ResourceOwner:
		p.KeepSecrets(f.Password)
	}
	defer a.restore() // after the grant is known
	p.Metrics.Declare(p.Name)
	grant, err := s.Load(name)
	if err == nil && grant.Source != "" && grant.Source != p.Source(f) {
		err = errOtherSource
	}
	switch {
	case err == nil:
		a.grant = grant
		p.AddSecrets(grant.RefreshToken, grant.AccessToken)
		// Earlier versions redacted less.
		a.grant.Withdrawn = redact.New(grant.RefreshToken, grant.AccessToken, p.OAuth.ClientSecret).Redact(grant.Withdrawn)
	case !errors.Is(err, fs.ErrNotExist):
		a.log.Error("grant not usable", "error", oauth.OneLine(err.Error()))
	}
	if f != nil {
		a.grant.Withdrawn = "" // this flow needs no consent
		return a               // the first login requests a token
	}
	a.used = now // not known
	if !errors.Is(err, fs.ErrNotExist) {
		a.damage = err
	}
	return a
}

// errOtherSource is the error of a grant from before a change of the configuration. It must
// not be sent to another provider.
var errOtherSource = errors.New("the grant that is kept was given by another provider, or to another client, than the configuration has now")

// Name returns the name in the configuration.
func (a *Account) Name() string { return a.name }

// Provider returns the provider of the account.
func (a *Account) Provider() *oauth.Provider { return a.provider }

// Attended reports whether a person authorizes the account.
func (a *Account) Attended() bool { return a.flow == nil }

// Used reports whether the account has a token, or has tried to obtain one or to log in since
// the start.
func (a *Account) Used() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.grant.Empty() || a.failure != nil || a.refreshing != nil || len(a.logins) > 0 || len(a.refusals) > 0
}

// Token returns a valid access token other than stale, a refused token or empty. It waits for
// a refresh if necessary; when ctx is done, the refresh goes on without it. With an
// AppPassword, Token returns that. Errors are of type *Error, or that of ctx.
func (a *Account) Token(ctx context.Context, stale string) (string, error) {
	if password, ok := a.flow.(oauth.AppPassword); ok {
		if stale == string(password) {
			return "", oauth.RefusedPassword()
		}
		return string(password), nil
	}
	token, r, err := a.tokenOrRefresh(ctx, stale)
	if r == nil {
		return token, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if r.err == nil && r.token != stale {
		return r.token, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if token, ok := a.spare(now, stale); ok {
		return token, nil
	}
	if r.err == nil { // some providers send the same token again
		return "", a.refused(now)
	}
	return "", r.err
}

// tokenOrRefresh returns a token, a refresh to wait for, or an error. While a refresh runs,
// other callers receive the old token if it is still valid.
func (a *Account) tokenOrRefresh(ctx context.Context, stale string) (string, *refresh, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.used = now
	a.saveIfDue(now)
	spare, ok := a.spare(now, stale)
	if ok && (a.fresh(now) || a.refreshing != nil) {
		return spare, nil, nil
	}
	if a.refreshing != nil {
		return "", a.refreshing, nil
	}
	if err := a.mayRefresh(now, stale); err != nil {
		if ok {
			return spare, nil, nil
		}
		return "", nil, err
	}
	if a.fresh(now) { // it is replaced because it was refused
		a.forced = now
	}
	return "", a.begin(ctx, now), nil
}

// spare returns the current token if it is valid and not stale.
func (a *Account) spare(now time.Time, stale string) (string, bool) {
	return a.grant.AccessToken, a.grant.Alive(now) && a.grant.AccessToken != stale
}

// Keep is Replace for any current grant.
func (a *Account) Keep(g oauth.Grant) error {
	_, err := a.Replace(g, a.Access())
	return err
}

// keep replaces the current grant by g. The caller holds saving.
func (a *Account) keep(g oauth.Grant) error {
	g.Withdrawn = ""
	err := a.save(g)

	a.mu.Lock()
	defer a.mu.Unlock()
	a.grant, a.damage = g, nil
	a.generation++
	a.revoked, a.begun = nil, time.Time{}
	a.note(true)
	a.used = time.Now() // an authorized account is likely to be used
	a.forced = time.Time{}
	a.succeeded()
	if a.refreshing != nil {
		a.end(g.AccessToken, nil)
	}
	return err
}

// Unsaved reports whether the grant is in use but not on disk.
func (a *Account) Unsaved() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unsaved != nil
}

// Status returns the current state.
func (a *Account) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	g, now := a.grant, time.Now()
	s := Status{
		State:     Authorized,
		Obtained:  g.Obtained,
		Refreshed: g.Refreshed,
		Identity:  g.Identity,
		Ends:      g.Ends,
		Problems:  a.problems(now),
		Logins:    maps.Clone(a.logins),
	}
	if g.AccessToken != "" {
		s.Expiry = g.Expiry
	}
	if len(s.Problems) == 0 {
		return s
	}
	first := s.Problems[0]
	s.Why, s.Hint = first.Text, first.Hint
	switch {
	case first.Kind == ProblemAuthorization:
		s.State = NeedsAuthorization
	case first.Failing:
		s.State = Failing
	}
	return s
}

// Wait returns when no refresh is running and the grant is on disk, or an error. A daemon
// calls it at its end: a running answer may have the only valid refresh token.
func (a *Account) Wait(ctx context.Context) error {
	for {
		a.mu.Lock()
		r := a.refreshing
		a.mu.Unlock()
		if r == nil {
			a.saveRecord()
			return a.saveAgain()
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
