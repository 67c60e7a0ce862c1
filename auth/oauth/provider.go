package oauth

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/xoauthd/xoauthd/internal/redact"
)

// A Provider is a registration at an OAuth 2.0 server. It must not be changed
// once it is in use.
type Provider struct {
	Name   string
	OAuth  oauth2.Config
	Params map[string]string // for the authorization URL, beside the usual ones

	// Family is Google, Microsoft, Yahoo, or empty for any other provider. It says
	// which errors and rules of its own the provider has.
	Family string

	Issuer        string // what the server calls itself in iss (RFC 9207), if it does
	RevocationURL string // where tokens are taken back (RFC 7009); empty if nowhere

	Assertion ClientAssertion // in the place of the client's secret; may be nil

	CredentialExpiry time.Time // of the client's secret or certificate; zero if it is not known

	Client  *http.Client // from NewHTTPClient; nil for one with the system's roots
	Metrics *Metrics     // counts the refreshes; may be nil

	// Secrets are hidden in what the provider sends. Tokens, passwords and the
	// client's secret are added before they are sent. nil: those of this Provider
	// alone.
	Secrets *redact.Secrets

	own      redact.Secrets // used if Secrets is nil
	metadata metadata
}

// AuthCodeURL is where a person consents. The verifier is that of PKCE
// (RFC 7636), always by its S256 hash; loginHint is the mailbox that should be
// offered, and may be empty.
func (p *Provider) AuthCodeURL(state, verifier, loginHint string) string {
	var options []oauth2.AuthCodeOption
	for _, k := range slices.Sorted(maps.Keys(p.Params)) {
		options = append(options, oauth2.SetAuthURLParam(k, p.Params[k]))
	}
	if loginHint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", loginHint))
	}
	// These come last: no parameter of the configuration may replace them.
	options = append(options, oauth2.SetAuthURLParam("state", state), oauth2.S256ChallengeOption(verifier))
	return p.config().AuthCodeURL(state, options...)
}

// Exchange redeems an authorization code (RFC 6749 section 4.1.3). Its errors
// are of type *Error.
func (p *Provider) Exchange(ctx context.Context, code, verifier string) (Grant, error) {
	config := p.config()
	token, err := config.Exchange(p.withClient(ctx), code, oauth2.VerifierOption(verifier))
	if err == nil {
		err = p.usable(token)
	}
	if err != nil {
		// Anybody can bring a code made of words that the log needs.
		return Grant{}, p.failure(err, code, verifier)
	}
	p.secrets().Add(code, verifier)
	return p.grantOf(token), nil
}

// grantOf is the grant that a person has just consented to.
func (p *Provider) grantOf(token *oauth2.Token) Grant {
	now := time.Now().Round(0).UTC()
	return Grant{
		AccessToken:  token.AccessToken,
		RefreshToken: token.RefreshToken,
		Expiry:       tokenExpiry(now, token),
		Obtained:     now,
		Ends:         p.end(now, token),
		Scope:        scopeOf(token, p.OAuth.Scopes),
		Identity:     p.identity(token),
		IDToken:      token.Extra("id_token") != nil,
	}
}

// Refresh gets another access token (RFC 6749 section 6). The refresh token of
// g stays unless the answer has a new one. Its errors are of type *Error; with
// an error, the grant it returns is still the one to keep: an answer that is
// of no use may have replaced the refresh token all the same.
func (p *Provider) Refresh(ctx context.Context, g Grant) (Grant, error) {
	next, err := p.refresh(ctx, g)
	if err != nil {
		e := p.failure(err)
		p.Metrics.count(p.Name, e.Kind.String())
		return next, e
	}
	p.Metrics.count(p.Name, resultOK)
	return next, nil
}

func (p *Provider) refresh(ctx context.Context, g Grant) (Grant, error) {
	if g.RefreshToken == "" {
		return g, NoRefreshToken()
	}
	ctx, rotation := withRotation(p.withClient(ctx))
	source := p.config().TokenSource(ctx, &oauth2.Token{RefreshToken: g.RefreshToken})
	token, err := source.Token()
	if err != nil {
		g.RefreshToken = cmp.Or(rotation.token, g.RefreshToken)
		if rotation.lost() && rotation.token == "" {
			err = &lostAnswer{err}
		}
		return g, err
	}
	g.RefreshToken = token.RefreshToken // the old one, if none came
	if err := p.usable(token); err != nil {
		return g, err
	}
	if g.Scope == "" { // of a grant from elsewhere, or of an older version
		g.Scope = scopeOf(token, nil)
	}
	return renewed(g, token), nil
}

// renewed is g with another access token.
func renewed(g Grant, token *oauth2.Token) Grant {
	now := time.Now().Round(0).UTC()
	g.AccessToken, g.Expiry, g.Refreshed, g.Withdrawn = token.AccessToken, tokenExpiry(now, token), now, ""
	if g.Obtained.After(now) { // by a clock that was ahead; what was got now must count as later
		g.Obtained = now
	}
	return g
}

// Obtain gets another access token for an account: by its flow, or by the
// refresh token of g if f is nil. Its errors are of type *Error, and the
// grant is as that of Refresh.
func (p *Provider) Obtain(ctx context.Context, f Flow, g Grant) (Grant, error) {
	if f == nil {
		return p.Refresh(ctx, g)
	}
	token, err := f.token(ctx, p)
	if err == nil {
		err = p.usable(token)
	}
	if err != nil {
		e := unattended(p.failure(err))
		p.Metrics.count(p.Name, e.Kind.String())
		return g, e
	}
	p.Metrics.count(p.Name, resultOK)
	return renewed(g, token), nil
}

// call asks the token endpoint for a token by other than a code or a refresh
// token: by params, which name the type of grant unless it is that of the client
// itself. Its errors are of type *Error.
func (p *Provider) call(ctx context.Context, params url.Values) (*oauth2.Token, error) {
	c := p.config()
	token, err := (&clientcredentials.Config{
		ClientID:       c.ClientID,
		ClientSecret:   c.ClientSecret,
		TokenURL:       c.Endpoint.TokenURL,
		AuthStyle:      c.Endpoint.AuthStyle,
		Scopes:         c.Scopes,
		EndpointParams: params,
	}).Token(p.withClient(ctx))
	if err != nil {
		return nil, p.failure(err)
	}
	return token, nil
}

// config never lets the library find out by itself how the server wants the
// client's credentials: it would send a refused request a second time, and a
// server that rotates refresh tokens may take that for a theft. An assertion
// goes without any other credentials (RFC 6749 section 2.3); withClient adds it.
func (p *Provider) config() *oauth2.Config {
	config := p.OAuth
	if p.Assertion != nil {
		config.ClientSecret, config.Endpoint.AuthStyle = "", oauth2.AuthStyleInParams
	}
	if config.Endpoint.AuthStyle == oauth2.AuthStyleAutoDetect {
		config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &config
}

// withClient returns a context with the HTTP client for p's requests, each of
// which posts a form.
func (p *Provider) withClient(ctx context.Context) context.Context {
	client := p.Client
	if client == nil {
		client = NewHTTPClient(nil, http.ProxyFromEnvironment)
	}
	c := *client
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	c.Transport = poster{c.Transport, p}
	return context.WithValue(ctx, oauth2.HTTPClient, &c)
}

// maxToken is the longest access token taken. Those of Entra, the longest seen,
// are 4 KiB.
const maxToken = 16 << 10

// tokenChars are those of a bearer token (RFC 6750 section 2.1), less the
// padding. None of them can end a field of XOAUTH2 or a line.
const tokenChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"

// isBearer reports whether s has the form of a bearer token.
func isBearer(s string) bool {
	unpadded := strings.TrimRight(s, "=")
	return unpadded != "" && strings.Trim(unpadded, tokenChars) == ""
}

// usable reports what is wrong with an answer that says it is a token. Whatever it
// is, it is secret from now on.
func (p *Provider) usable(token *oauth2.Token) error {
	p.secrets().Add(token.AccessToken, token.RefreshToken)
	switch {
	case token.Type() != "Bearer": // Type knows every spelling, and that of none
		return &Error{Kind: Passing, Err: errors.New("token endpoint: malformed answer: the token is not a bearer token")}
	case len(token.AccessToken) > maxToken:
		return &Error{Kind: Passing, Err: errors.New("token endpoint: malformed answer: the access token is longer than 16 KiB")}
	case !isBearer(token.AccessToken):
		return &Error{Kind: Passing, Err: errors.New("token endpoint: malformed answer: the access token has characters of no bearer token")}
	}
	return nil
}

const (
	defaultLife = time.Hour // RFC 6749 section 5.1 lets a server leave it out
	minLife     = time.Second
	maxLife     = 24 * time.Hour
)

// tokenExpiry returns when token expires, between minLife and maxLife from now.
func tokenExpiry(now time.Time, token *oauth2.Token) time.Time {
	if token.Expiry.IsZero() {
		return now.Add(defaultLife)
	}
	return now.Add(min(max(token.Expiry.Sub(now), minLife), maxLife)).Round(0)
}
