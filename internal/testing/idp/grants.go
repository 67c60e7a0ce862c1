package idp

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// A grant is the permission of a person for the client.
type grant struct {
	mailbox string
	client  string
	time    time.Time // when the person did so
	scopes  []string

	refresh string // the one refresh token that is good; may be empty
	revoked bool
}

// An accessToken is valid until it expires or its grant is revoked.
type accessToken struct {
	grant  *grant
	scopes []string // those of the grant, or fewer
	expiry time.Time
}

// grants stores all tokens.
type grants struct {
	life time.Duration // of an access token

	mu        sync.Mutex
	tokens    map[string]accessToken // by the id within the access token
	refreshes map[string]*grant      // by refresh token, used ones included
}

func newGrants(life time.Duration) *grants {
	return &grants{
		life:      life,
		tokens:    make(map[string]accessToken),
		refreshes: make(map[string]*grant),
	}
}

// add stores a new grant and returns its first tokens. The refresh token is empty if the
// scopes do not request one.
func (gs *grants) add(g *grant) (id, refresh string, expiry time.Time) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if slices.Contains(g.scopes, oidc.ScopeOfflineAccess) {
		gs.rotate(g)
	}
	id, expiry = gs.issue(g, g.scopes)
	return id, g.refresh, expiry
}

// use returns the grant of a valid refresh token. The reuse of a refresh token ends the
// grant, because either user may be the thief.
func (gs *grants) use(refresh string) (g grant, err error) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	p, err := gs.check(refresh)
	if err != nil {
		return grant{}, err
	}
	return *p, nil
}

// renew replaces the tokens of a grant. It checks the refresh token again, because of
// concurrent requests with the same one.
func (gs *grants) renew(refresh string, scopes []string) (id, next string, expiry time.Time, err error) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g, err := gs.check(refresh)
	if err != nil {
		return "", "", time.Time{}, err
	}
	gs.rotate(g)
	id, expiry = gs.issue(g, scopes)
	return id, g.refresh, expiry, nil
}

// access returns the access token with an ID, if it is valid.
func (gs *grants) access(id string) (accessToken, bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	t, ok := gs.tokens[id]
	if !ok || t.grant.revoked || !time.Now().Before(t.expiry) {
		return accessToken{}, false
	}
	return t, true
}

// owner returns the grant that a refresh token belongs or belonged to.
func (gs *grants) owner(refresh string) (g grant, ok bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if p := gs.refreshes[refresh]; p != nil {
		return *p, true
	}
	return grant{}, false
}

// revoke ends the access token with an ID, or the grant of a refresh token (RFC 7009
// section 2.1).
func (gs *grants) revoke(token string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	delete(gs.tokens, token)
	if g := gs.refreshes[token]; g != nil {
		g.revoked = true
	}
}

func (gs *grants) revokeAll(mailbox string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, t := range gs.tokens {
		if t.grant.mailbox == mailbox {
			t.grant.revoked = true
		}
	}
	for _, g := range gs.refreshes {
		if g.mailbox == mailbox {
			g.revoked = true
		}
	}
}

// The caller of the following methods holds gs.mu.

func (gs *grants) check(refresh string) (*grant, error) {
	g := gs.refreshes[refresh]
	switch {
	case g == nil:
		return nil, oidc.ErrInvalidGrant().WithDescription("refresh token unknown")
	case g.revoked:
		return nil, oidc.ErrInvalidGrant().WithDescription("grant revoked")
	case g.refresh != refresh:
		g.revoked = true
		return nil, oidc.ErrInvalidGrant().WithDescription("refresh token used before: grant revoked")
	}
	return g, nil
}

func (gs *grants) rotate(g *grant) {
	g.refresh = rand.Text()
	gs.refreshes[g.refresh] = g
}

func (gs *grants) issue(g *grant, scopes []string) (id string, expiry time.Time) {
	now := time.Now()
	for id, t := range gs.tokens {
		if !now.Before(t.expiry) {
			delete(gs.tokens, id)
		}
	}
	id, expiry = rand.Text(), now.Add(gs.life)
	gs.tokens[id] = accessToken{grant: g, scopes: scopes, expiry: expiry}
	return id, expiry
}
