package oauth

import (
	"context"
	"errors"
	"net/url"

	"golang.org/x/oauth2"
)

// A Flow obtains access tokens without a person (grant types of RFC 6749 section 1.3). An
// account without a Flow has a refresh token, to which a person consented.
type Flow interface {
	// token obtains an access token from p. Its errors are of type *Error.
	token(ctx context.Context, p *Provider) (*oauth2.Token, error)

	// kind identifies the flow of a stored token.
	kind() string
}

// unattended turns Consent into Misconfigured: in a flow without a person, the administrator
// must act.
func unattended(e *Error) *Error {
	if e.Kind == Consent {
		e.Kind = Misconfigured
	}
	return e
}

// ClientCredentials obtains tokens for the client itself (RFC 6749 section 4.4), which an
// administrator has given access to the mailbox.
type ClientCredentials struct{}

func (ClientCredentials) token(ctx context.Context, p *Provider) (*oauth2.Token, error) {
	return p.call(ctx, nil)
}

func (ClientCredentials) kind() string { return "client_credentials" }

// A ResourceOwner obtains tokens with the password of a person (RFC 6749 section 4.3), for
// the few providers that offer nothing else. OAuth 2.1 omits it, and it does not work with a
// second factor.
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

// An AppPassword is the password of a mailbox at a provider without OAuth. There is no token,
// and nothing to refresh.
type AppPassword string

func (p AppPassword) token(context.Context, *Provider) (*oauth2.Token, error) {
	return nil, RefusedPassword()
}

func (AppPassword) kind() string { return "app_password" }

// RefusedPassword returns the error of an AppPassword that a mail server refuses.
func RefusedPassword() *Error {
	return &Error{Kind: Misconfigured, Refused: true, Err: errors.New("a mail server refuses the app password: make a new one at the provider")}
}
