package oauth

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/internal/redact"
)

// A Provider is a registration at an OAuth 2.0 server. It must not be changed while it is in
// use. Its methods may be called concurrently.
type Provider struct {
	Name   string            // in errors, logs and metrics
	OAuth  oauth2.Config     // client, endpoints, scopes for Mail, redirect URI
	Params map[string]string // additional parameters of the authorization URL

	// Resources has the scopes of the resources other than Mail.
	Resources map[Resource][]string

	// Family is Google, Microsoft, Yahoo, or empty for any other provider. It selects the
	// errors and rules that are specific to the provider.
	Family string

	Issuer        string // the server's value of iss (RFC 9207); may be empty
	RevocationURL string // the revocation endpoint (RFC 7009); empty if there is none

	Assertion ClientAssertion // authenticates the client instead of its secret; may be nil

	CredentialExpiry time.Time // of the client's secret or certificate; zero if not known

	Client  *http.Client // from NewHTTPClient; nil is a client with the system's roots
	Metrics *Metrics     // counts refreshes; may be nil

	// Secrets are replaced in text that the provider sends. Tokens, passwords and the
	// client's secret are added to it before they are sent. If it is nil, the Provider
	// has Secrets of its own.
	Secrets *redact.Secrets

	own      redact.Secrets // used if Secrets is nil
	metadata metadata
}

// AuthCodeURL returns the URL at which a person consents (RFC 6749 section 4.1.1). It has
// the S256 challenge of verifier (RFC 7636). loginHint is the mailbox that the provider
// suggests to the person; it may be empty.
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
	config := p.OAuth
	config.Scopes = p.consentScopes()
	return config.AuthCodeURL(state, options...)
}

// Exchange redeems an authorization code (RFC 6749 section 4.1.3). Its errors are of type
// *Error.
func (p *Provider) Exchange(ctx context.Context, code, verifier string) (Grant, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}}
	if p.OAuth.RedirectURL != "" {
		form.Set("redirect_uri", p.OAuth.RedirectURL)
	}
	a, err := p.token(ctx, p.withOneScope(form, Mail))
	if err != nil {
		return Grant{}, err
	}
	p.secrets().Add(code, verifier)
	return p.grantOf(a), nil
}

// grantOf returns the grant of a, to which a person has just consented.
func (p *Provider) grantOf(a answer) Grant {
	now := time.Now().Round(0).UTC()
	return Grant{
		AccessToken:  a.text("access_token"),
		RefreshToken: a.text("refresh_token"),
		Expiry:       a.expiry(now, defaultLife),
		Obtained:     now,
		Ends:         p.end(now, a),
		Scope:        scopeOf(a, p.OAuth.Scopes),
		Requested:    strings.Join(p.consentScopes(), " "),
		Identity:     p.identity(a.text("id_token")),
		IDToken:      a["id_token"] != nil,
	}
}

// Refresh is RefreshFor with Mail.
func (p *Provider) Refresh(ctx context.Context, f Flow, g Grant) (Grant, error) {
	return p.RefreshFor(ctx, f, g, Mail)
}

// RefreshFor returns g with another access token for r, which f obtains. Its errors are of type
// *Error. With an error, the grant it returns is still the one to keep: an answer without a
// usable access token may have replaced the refresh token.
func (p *Provider) RefreshFor(ctx context.Context, f Flow, g Grant, r Resource) (Grant, error) {
	a, err := f.token(ctx, p, g, r)
	if rotated := a.text("refresh_token"); rotated != "" && f.Interactive() {
		g.RefreshToken = rotated
	}
	if err == nil {
		err = p.verify(a, r)
	}
	var e *Error
	if errors.As(err, &e) {
		switch {
		case f.Interactive() && r != Mail:
			p.explain(e, g, r)
		case !f.Interactive() && e.Kind == NeedsConsent: // the administrator must act
			e.Kind = Misconfigured
		}
		p.Metrics.count(p.Name, e.Kind.String())
		return g, err
	}
	p.Metrics.count(p.Name, resultOK)
	now := time.Now().Round(0).UTC()
	g = g.withToken(r, Token{a.text("access_token"), a.expiry(now, defaultLife), now})
	if r != Mail {
		return g, nil
	}
	if f.Interactive() && g.Scope == "" { // an imported grant may have none
		g.Scope = scopeOf(a, nil)
	}
	if g.Obtained.After(now) { // by a clock that was ahead; what was issued now must count as later
		g.Obtained = now
	}
	return g, nil
}
