package auth

import (
	"context"
	"errors"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// ErrNotRemoved is in the chain if a grant was forgotten but its file could not be removed.
var ErrNotRemoved = errors.New("the grant is forgotten until the next start, but its file could not be removed")

var errKeptMeanwhile = errors.New("a person has authorized the account meanwhile, and that grant is kept")

// Revoke revokes the grant at the provider (RFC 7009) and then calls Forget. told is false if
// the provider has no endpoint for it, or if there is no grant of a person. If the request
// fails, the error is an *Error, or that of ctx, and nothing is forgotten. Otherwise the
// error is that of Forget.
func (a *Account) Revoke(ctx context.Context, by string) (told bool, err error) {
	if !a.Interactive() || a.provider.RevocationURL == "" {
		return false, a.Forget(by)
	}
	r, g, err := a.holdRefreshes(ctx)
	if err != nil {
		return false, err
	}
	told, err = a.provider.Revoke(ctx, g)
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	current := a.refreshing == r
	if current && err != nil { // err does not concern the tokens
		a.end("", &oauth.Error{Kind: oauth.Temporary, Err: errors.New("the grant was about to be revoked; try again")})
	}
	a.mu.Unlock()
	switch {
	case err != nil:
		return told, err
	case !current:
		return told, errKeptMeanwhile
	}
	return told, a.forget(told, by)
}

// holdRefreshes waits for a running refresh, which may rotate the refresh token, and puts r in
// its place, so that no other starts. It returns the current grant.
func (a *Account) holdRefreshes(ctx context.Context) (r *refresh, g oauth.Grant, err error) {
	for {
		a.mu.Lock()
		earlier := a.refreshing
		if a.damage != nil {
			err = &oauth.Error{Kind: oauth.NeedsConsent, Err: a.damage}
		} else if earlier == nil {
			r, g = &refresh{done: make(chan struct{}), resource: oauth.Mail}, a.grant
			a.refreshing = r
		}
		a.mu.Unlock()
		if r != nil || err != nil {
			return r, g, err
		}
		select {
		case <-earlier.done:
		case <-ctx.Done():
			return nil, oauth.Grant{}, ctx.Err()
		}
	}
}

// Forget removes the grant, and records by as the user who removed it. It sends the
// provider nothing, and drops the result of a running refresh. In flows without a person,
// it removes only the access token. The error is an ErrNotRemoved.
func (a *Account) Forget(by string) error {
	a.saving.Lock()
	defer a.saving.Unlock()
	return a.forget(false, by)
}

// Granted reports whether there is a token or an unreadable file.
func (a *Account) Granted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.grant.Empty() || a.damage != nil
}

// forget is Forget for a caller that holds saving. It writes the record first, so that it is
// always known who revoked the grant.
func (a *Account) forget(told bool, by string) error {
	had := a.Granted()
	if had && a.Interactive() {
		a.mu.Lock()
		a.revoked = &Revocation{By: by, At: time.Now().Round(0)}
		a.begun, a.unrecorded = time.Time{}, true
		a.mu.Unlock()
		a.saveRecord()
	}
	err := a.save(oauth.Grant{})
	if had {
		a.log.Info("grant revoked", "by", by, "provider_told", told)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grant, a.damage = oauth.Grant{}, nil
	a.generation++
	for r, s := range a.states {
		a.succeeded(r)
		if !a.Interactive() {
			s.used = time.Time{} // no other token is requested before a login
		}
	}
	why := &oauth.Error{Kind: oauth.Temporary, Err: errors.New("the access token was forgotten on request; try again")}
	if e := a.needsConsent(time.Now()); e != nil {
		why = e
	}
	if a.refreshing != nil {
		a.end("", why)
	}
	return err
}
