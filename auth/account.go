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
	"slices"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/flow"
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
// mu guards the fields below it and is never held during network or disk access. saving is
// held while a grant is written, so that the disk has the last one; recording is held while
// the record is written. Locks are taken in the order saving, recording, mu.
type Account struct {
	name     string
	provider *oauth.Provider
	flow     oauth.Flow // nil with a password
	password string     // for the mail servers, at a provider without OAuth
	source   string     // of grants and of the record
	store    *store.Store
	log      *slog.Logger

	saving    sync.Mutex
	recording sync.Mutex

	mu         sync.Mutex
	grant      oauth.Grant
	generation int       // counts the grants that people gave, and those that were forgotten
	damage     error     // why the store has no grant of use, though it has a file
	unsaved    error     // why the store does not have grant
	resave     time.Time // when to try again

	// refreshing is the one under way. There is one at a time, for whatever resource:
	// another one would use a refresh token that the first may have replaced.
	refreshing *refresh
	states     map[oauth.Resource]*refreshState

	logins   map[string]time.Time // the last that a mail server accepted, by protocol
	refusals map[string]Problem   // of mail servers since, by protocol
	revoked  *Revocation          // of the last grant, if no other came after it
	begun    time.Time            // the last refresh to which no answer was received; zero if there is none

	unrecorded  bool      // the record on disk is not what is known
	recordSoon  bool      // and differs in more than a number
	recorded    time.Time // when it was last written
	recordFault error     // of that

	jitter float64 // from 0 to 1, another after each refresh
}

// NewAccount returns an account with its stored grant. An unreadable file is logged and kept;
// an interactive account then needs authorization. The log may be nil.
func NewAccount(name string, p *oauth.Provider, f oauth.Flow, s *store.Store, log *slog.Logger) *Account {
	a := newAccount(name, p, p.Source(f), s, log)
	a.flow = f
	if o, ok := f.(oauth.ResourceOwner); ok {
		p.KeepSecrets(o.Password)
	}
	p.Metrics.Declare(p.Name)
	a.load()
	a.restore()
	return a
}

// NewPasswordAccount returns an account of a provider without OAuth, with the password of its
// mailbox. It has no grant, and there is nothing to refresh. The log may be nil.
func NewPasswordAccount(name string, p *oauth.Provider, password string, s *store.Store, log *slog.Logger) *Account {
	a := newAccount(name, p, p.Source(oauth.Consent{})+" "+string(flow.AppPassword), s, log)
	a.password = password
	p.KeepSecrets(password)
	a.restore()
	return a
}

func newAccount(name string, p *oauth.Provider, source string, s *store.Store, log *slog.Logger) *Account {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &Account{
		name: name, provider: p, source: source, store: s, log: log.With("account", name, "provider", p.Name),
		jitter: rand.Float64(),
	}
	a.state(oauth.Mail).asked = time.Now().Add(-rand.N(idleAge)) // so that restarts do not use a withdrawn grant each time
	return a
}

// load reads the grant from the store.
func (a *Account) load() {
	g, err := a.store.Load(a.name)
	if err == nil && g.Source != "" && g.Source != a.source {
		err = errOtherSource
	}
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err == nil:
		a.provider.AddSecrets(g.RefreshToken, g.AccessToken)
		for _, t := range g.Tokens {
			a.provider.AddSecrets(t.AccessToken)
		}
		// Earlier versions redacted less.
		g.Withdrawn = redact.New(g.RefreshToken, g.AccessToken, a.provider.OAuth.ClientSecret).Redact(g.Withdrawn)
		a.grant = g
	case !missing:
		a.log.Error("grant not usable", "error", oauth.OneLine(err.Error()))
	}
	if !a.Interactive() {
		a.grant.Withdrawn = "" // no consent is needed; the first login requests a token
		return
	}
	a.state(oauth.Mail).used = time.Now() // not known
	if !missing {
		a.damage = err
	}
}

// errOtherSource is the error of a grant from before a change of the configuration. It must
// not be sent to another provider.
var errOtherSource = errors.New("the grant that is kept was given by another provider, or to another client, than the configuration has now")

// Name returns the name in the configuration.
func (a *Account) Name() string { return a.name }

// Provider returns the provider of the account.
func (a *Account) Provider() *oauth.Provider { return a.provider }

// Interactive reports whether a person authorizes the account.
func (a *Account) Interactive() bool { return a.flow != nil && a.flow.Interactive() }

// Used reports whether the account has a token, or has tried to obtain one or to log in since
// the start.
func (a *Account) Used() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.grant.Empty() || a.state(oauth.Mail).failure != nil || a.refreshing != nil || len(a.logins) > 0 || len(a.refusals) > 0
}

// Token is TokenFor with the resource Mail. Of an account with a password, it returns the
// password.
func (a *Account) Token(ctx context.Context, stale string) (string, error) {
	switch a.password {
	case "":
		return a.TokenFor(ctx, oauth.Mail, stale)
	case stale:
		return "", &oauth.Error{Kind: oauth.Misconfigured, Refused: true, Err: errors.New("a mail server refuses the app password: make a new one at the provider")}
	}
	return a.password, nil
}

// TokenFor returns a valid access token for a resource of the provider, other than stale, a
// refused token or empty. It waits for a refresh if necessary; when ctx is done, the refresh
// goes on without it. Errors are of type *oauth.Error, or that of ctx.
func (a *Account) TokenFor(ctx context.Context, r oauth.Resource, stale string) (string, error) {
	if a.flow == nil || !slices.Contains(a.provider.AllResources(), r) {
		return "", &oauth.Error{Kind: oauth.Misconfigured, Resource: r, Err: errors.New("the provider has no such resource")}
	}
	for {
		token, call, err := a.tokenOrRefresh(ctx, r, stale)
		if call == nil {
			return token, err
		}
		select {
		case <-call.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if call.resource == r {
			return a.tokenAfter(call, stale)
		}
	}
}

// tokenAfter returns the token that a refresh has obtained, or another one.
func (a *Account) tokenAfter(call *refresh, stale string) (string, error) {
	if call.err == nil && call.token != stale {
		return call.token, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if token, ok := a.spare(now, call.resource, stale); ok {
		return token, nil
	}
	if call.err == nil { // some providers send the same token again
		return "", a.refused(now, call.resource)
	}
	return "", call.err
}

// tokenOrRefresh returns a token, a refresh to wait for, or an error. While a refresh runs,
// other callers receive the old token if it is still valid.
func (a *Account) tokenOrRefresh(ctx context.Context, r oauth.Resource, stale string) (string, *refresh, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.state(r).used = now
	a.saveIfDue(now)
	spare, ok := a.spare(now, r, stale)
	if ok && (a.fresh(now, r) || a.refreshing != nil) {
		return spare, nil, nil
	}
	if a.refreshing != nil {
		return "", a.refreshing, nil
	}
	if err := a.mayRefresh(now, r, stale); err != nil {
		if ok {
			return spare, nil, nil
		}
		return "", nil, err
	}
	if a.fresh(now, r) { // it is replaced because it was refused
		a.state(r).forced = now
	}
	return "", a.begin(ctx, now, r), nil
}

// spare returns the current token for r if it is valid and not stale.
func (a *Account) spare(now time.Time, r oauth.Resource, stale string) (string, bool) {
	token := a.grant.Token(r).AccessToken
	return token, a.grant.Alive(r, now) && token != stale
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
	a.state(oauth.Mail).used = time.Now() // an authorized account is likely to be used
	for r, s := range a.states {
		s.forced = time.Time{}
		a.succeeded(r)
	}
	if a.refreshing != nil { // a caller for another resource begins another one
		a.refreshing.resource = oauth.Mail
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
