package auth

import (
	"context"
	"errors"
	"net/url"

	"golang.org/x/oauth2"
)

// A Flow is how one account gets its access tokens with no person there, where
// RFC 6749 section 1.3 speaks of a type of grant. An account without a Flow has
// a refresh token, to which a person consented.
type Flow interface {
	// token gets an access token from p. Its errors are of type *Error.
	token(ctx context.Context, p *Provider) (*oauth2.Token, error)

	// kind tells a token's flow from others in the store.
	kind() string
}

// unattended makes of a failure that a person could mend by consenting one that
// the operator has to, where there is no such person.
func unattended(e *Error) *Error {
	if e.Kind == Consent {
		e.Kind = Misconfigured
	}
	return e
}

// ClientCredentials gets tokens for the client itself (RFC 6749 section 4.4),
// to which an administrator has given access to the mailbox.
type ClientCredentials struct{}

func (ClientCredentials) token(ctx context.Context, p *Provider) (*oauth2.Token, error) {
	return p.call(ctx, nil)
}

func (ClientCredentials) kind() string { return "client_credentials" }

// A ResourceOwner gets tokens by the password of a person (RFC 6749 section
// 4.3). It is for the few installations that have nothing else: OAuth 2.1 has
// it no longer, and it is of no use where a second factor is asked for.
type ResourceOwner struct {
	User, Password string
}

func (o ResourceOwner) token(ctx context.Context, p *Provider) (*oauth2.Token, error) {
	return p.call(ctx, url.Values{
		"grant_type": {"password"},
		"username":   {o.User},
		"password":   {o.Password},
	})
}

func (ResourceOwner) kind() string { return "password" }

// An AppPassword is the password of a mailbox at a provider without OAuth. An
// account that has one logs in with it; there is no token, and nothing to
// refresh.
type AppPassword string

func (p AppPassword) token(context.Context, *Provider) (*oauth2.Token, error) {
	return nil, errRefusedPassword()
}

func (AppPassword) kind() string { return "app_password" }

func errRefusedPassword() *Error {
	return &Error{Kind: Misconfigured, refused: true, Err: errors.New("a mail server refuses the app password: make a new one at the provider")}
}
