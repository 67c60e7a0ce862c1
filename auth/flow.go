package auth

import (
	"context"
	"errors"

	"golang.org/x/oauth2"
)

// A Flow is how one account gets its access tokens with no person there, where
// RFC 6749 section 1.3 speaks of a type of grant. An account without a Flow has
// a refresh token, to which a person consented.
type Flow interface {
	// token gets an access token from p.
	token(ctx context.Context, p *Provider) (*oauth2.Token, error)

	// secrets are what an endpoint may quote in its answer, and nobody may see.
	secrets() []string
}

// An AppPassword is the password of a mailbox at a provider without OAuth. An
// account that has one logs in with it; there is no token, and nothing to
// refresh.
type AppPassword string

// insteadOf returns the password, unless it is what the mail server has refused.
func (p AppPassword) insteadOf(stale string) (string, error) {
	if stale == string(p) {
		return "", errRefusedPassword()
	}
	return string(p), nil
}

func (p AppPassword) token(context.Context, *Provider) (*oauth2.Token, error) {
	return nil, errRefusedPassword()
}

func (p AppPassword) secrets() []string { return []string{string(p)} }

func errRefusedPassword() *Error {
	return &Error{Kind: Misconfigured, Err: errors.New("the mail server refuses the app password: make a new one at the provider")}
}
