package idp

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// consentLife limits the time until the person answers, and the time from then until the
// client exchanges the code: ten minutes each, as RFC 6749 section 4.1.2 recommends.
const consentLife = 10 * time.Minute

// A consent is an authorization request. Callers get copies, which do not change.
type consent struct {
	id      string
	request oidc.AuthRequest
	expiry  time.Time
	code    string

	mailbox string // that the person chose; empty before
	time    time.Time
}

var _ op.AuthRequest = consent{}

// The methods of op.AuthRequest.

func (c consent) GetID() string                      { return c.id }
func (c consent) GetACR() string                     { return "" }
func (c consent) GetAMR() []string                   { return nil }
func (c consent) GetAudience() []string              { return []string{c.request.ClientID} }
func (c consent) GetAuthTime() time.Time             { return c.time }
func (c consent) GetClientID() string                { return c.request.ClientID }
func (c consent) GetNonce() string                   { return c.request.Nonce }
func (c consent) GetRedirectURI() string             { return c.request.RedirectURI }
func (c consent) GetResponseType() oidc.ResponseType { return c.request.ResponseType }
func (c consent) GetResponseMode() oidc.ResponseMode { return c.request.ResponseMode }
func (c consent) GetScopes() []string                { return c.request.Scopes }
func (c consent) GetState() string                   { return c.request.State }
func (c consent) GetSubject() string                 { return c.mailbox }
func (c consent) Done() bool                         { return c.mailbox != "" }

func (c consent) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: c.request.CodeChallenge, Method: c.request.CodeChallengeMethod}
}

// consents stores authorization requests until their code is exchanged. It has the methods
// of op.AuthStorage for them.
type consents struct {
	mu   sync.Mutex
	open map[string]consent // by id
}

// CreateAuthRequest implements op.AuthStorage. It is stricter than the library.
func (cs *consents) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if r.CodeChallenge == "" || r.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required")
	}
	if r.ResponseMode != "" && r.ResponseMode != oidc.ResponseModeQuery {
		return nil, oidc.ErrInvalidRequest().WithDescription("response_mode must be query")
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	now := time.Now()
	for id, c := range cs.open {
		if !now.Before(c.expiry) {
			delete(cs.open, id)
		}
	}
	c := consent{id: rand.Text(), request: *r, expiry: now.Add(consentLife)}
	cs.open[c.id] = c
	return c, nil
}

// AuthRequestByID implements op.AuthStorage.
func (cs *consents) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	c, ok := cs.get(id)
	if !ok {
		return nil, errNoConsent()
	}
	return c, nil
}

// SaveAuthCode implements op.AuthStorage.
func (cs *consents) SaveAuthCode(_ context.Context, id, code string) error {
	return cs.change(id, func(c *consent) {
		c.code, c.expiry = code, time.Now().Add(consentLife)
	})
}

// AuthRequestByCode implements op.AuthStorage. A code is valid for one attempt, even if
// the rest of that request is invalid.
func (cs *consents) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for id, c := range cs.open {
		if c.code != "" && c.code == code {
			delete(cs.open, id)
			if time.Now().Before(c.expiry) {
				return c, nil
			}
		}
	}
	return nil, errNoConsent()
}

// DeleteAuthRequest implements op.AuthStorage.
func (cs *consents) DeleteAuthRequest(_ context.Context, id string) error {
	cs.drop(id)
	return nil
}

// allow records the answer of the person.
func (cs *consents) allow(id, mailbox string) error {
	return cs.change(id, func(c *consent) {
		c.mailbox, c.time = mailbox, time.Now()
	})
}

func (cs *consents) drop(id string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, id)
}

// get returns the request with an ID, unless it has expired.
func (cs *consents) get(id string) (consent, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c, ok := cs.open[id]
	return c, ok && time.Now().Before(c.expiry)
}

func (cs *consents) change(id string, change func(*consent)) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c, ok := cs.open[id]
	if !ok || !time.Now().Before(c.expiry) {
		return errNoConsent()
	}
	change(&c)
	cs.open[id] = c
	return nil
}

func errNoConsent() error {
	return oidc.ErrInvalidRequest().WithDescription("unknown, used or expired")
}
