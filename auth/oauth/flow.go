package oauth

import (
	"context"
	"net/url"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// A Flow obtains access tokens for an account.
type Flow interface {
	// Interactive reports whether a person must have consented before.
	Interactive() bool

	// token obtains an access token for r and the account with the grant g. Its errors are
	// of type *Error. With an error, the answer may still have a refresh token.
	token(ctx context.Context, p *Provider, g Grant, r Resource) (answer, error)

	// source identifies the flow in the Source of a grant; empty for Consent.
	source() string
}

// Consent is the flow of an account to which a person has consented, in the browser or with a
// device code. It obtains access tokens by the refresh token (RFC 6749 section 6).
type Consent struct{}

// Interactive returns true.
func (Consent) Interactive() bool { return true }

func (Consent) token(ctx context.Context, p *Provider, g Grant, r Resource) (answer, error) {
	if g.RefreshToken == "" {
		return nil, NoRefreshToken()
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken}}
	return p.token(ctx, p.withOneScope(form, r))
}

func (Consent) source() string { return "" }

// ClientCredentials obtains tokens for the client itself (RFC 6749 section 4.4), which an
// administrator has given access to the mailbox.
type ClientCredentials struct{}

// Interactive returns false.
func (ClientCredentials) Interactive() bool { return false }

func (ClientCredentials) token(ctx context.Context, p *Provider, _ Grant, r Resource) (answer, error) {
	return p.token(ctx, p.withScope(url.Values{"grant_type": {"client_credentials"}}, r))
}

func (ClientCredentials) source() string { return string(flow.ClientCredentials) }

// A ResourceOwner obtains tokens with the password of a person (RFC 6749 section 4.3), for
// the few providers that offer nothing else. OAuth 2.1 omits it, and it does not work with a
// second factor.
type ResourceOwner struct {
	User, Password string
}

// Interactive returns false.
func (ResourceOwner) Interactive() bool { return false }

func (o ResourceOwner) token(ctx context.Context, p *Provider, _ Grant, r Resource) (answer, error) {
	return p.token(ctx, p.withScope(url.Values{"grant_type": {"password"}, "username": {o.User}, "password": {o.Password}}, r))
}

func (ResourceOwner) source() string { return string(flow.Password) }
