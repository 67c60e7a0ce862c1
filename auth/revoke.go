package auth

import (
	"context"
	"errors"
	"net/url"
	"time"
)

// ErrNotRemoved is what errors.Is finds where a grant is forgotten, but its file
// is still there.
var ErrNotRemoved = errors.New("the grant is forgotten until the next start, but its file could not be removed")

var errKeptMeanwhile = errors.New("a person has authorized the account meanwhile, and that grant is kept")

// Revoke gives the account's grant back to the provider (RFC 7009) and then
// forgets it, as Forget does. It reports whether the provider was told, which it
// cannot be if it has no endpoint for it, or if there is no grant that a person
// gave. If the provider could not be asked, the error is an *Error, or that of
// ctx, and nothing is forgotten; otherwise it is that of Forget, as is by.
func (a *Account) Revoke(ctx context.Context, by string) (told bool, err error) {
	if a.flow != nil || a.provider.RevocationURL == "" {
		return false, a.Forget(by)
	}
	r, g, err := a.holdRefreshes(ctx)
	if err != nil {
		return false, err
	}
	if !g.empty() {
		told, err = a.provider.revoke(ctx, g)
	}
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	current := a.refreshing == r
	if current && err != nil { // which says nothing of the tokens
		a.end("", &Error{Kind: Passing, Err: errors.New("the grant was about to be revoked; try again")})
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

// holdRefreshes waits for the refresh that is under way, which may bring another
// refresh token, and puts r in its place, so that none begins. It returns the
// grant that is there now.
func (a *Account) holdRefreshes(ctx context.Context) (r *refresh, g Grant, err error) {
	for {
		a.mu.Lock()
		earlier := a.refreshing
		if a.damage != nil {
			err = &Error{Kind: Consent, Err: a.damage}
		} else if earlier == nil {
			r, g = &refresh{done: make(chan struct{})}, a.grant
			a.refreshing = r
		}
		a.mu.Unlock()
		if r != nil || err != nil {
			return r, g, err
		}
		select {
		case <-earlier.done:
		case <-ctx.Done():
			return nil, Grant{}, ctx.Err()
		}
	}
}

// Forget removes the account's grant, and keeps a record of who has it removed:
// by, in words. The provider is not told. A refresh that is under way comes to
// nothing. Where no person consents, only the access token at hand is forgotten.
// The error, if any, is an ErrNotRemoved.
func (a *Account) Forget(by string) error {
	a.saving.Lock()
	defer a.saving.Unlock()
	return a.forget(false, by)
}

// Granted reports whether there is something to forget: a token, or a file that
// cannot be read.
func (a *Account) Granted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.grant.empty() || a.damage != nil
}

// forget is Forget, by a caller that holds saving. The record is written first: a
// revocation of which nobody knows who did it would be a riddle.
func (a *Account) forget(told bool, by string) error {
	had := a.Granted()
	if had && a.flow == nil {
		a.mu.Lock()
		a.revoked = &Revocation{By: by, At: time.Now().Round(0)}
		a.begun, a.unrecorded = time.Time{}, true
		a.mu.Unlock()
		a.saveRecord()
	}
	err := a.save(Grant{})
	if had {
		a.log.Info("grant revoked", "by", by, "provider_told", told)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grant, a.damage = Grant{}, nil
	a.generation++
	a.succeeded()
	why := a.ungranted()
	if a.flow != nil {
		a.used = time.Time{} // and no other is asked for before it is
		why = &Error{Kind: Passing, Err: errors.New("the access token was forgotten on request; try again")}
	}
	if a.refreshing != nil {
		a.end("", why)
	}
	return err
}

// revoke tells the provider that g is not used any more. It is the refresh token
// that counts: the access tokens of its grant end with it, at once or within the
// hour (RFC 7009 section 2.1).
func (p *Provider) revoke(ctx context.Context, g Grant) (told bool, err error) {
	form := url.Values{"token": {g.RefreshToken}, "token_type_hint": {"refresh_token"}}
	if g.RefreshToken == "" {
		form = url.Values{"token": {g.AccessToken}, "token_type_hint": {"access_token"}}
	}
	if _, err = p.post(ctx, p.RevocationURL, form); err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	e := p.failure(err)
	switch e.Code {
	case "invalid_token": // Google's word for one that was revoked already
		return true, nil
	case "unsupported_token_type": // RFC 7009 section 2.2.1: it has no way to
		return false, nil
	}
	e.endpoint = "revocation endpoint"
	return false, e
}
