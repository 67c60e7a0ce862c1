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

// A Provider is a registration at an OAuth 2.0 server. It must not be changed
// once it is in use.
type Provider struct {
	Name   string
	OAuth  oauth2.Config
	Params map[string]string // for the authorization URL, beside the usual ones

	// Resources has the scopes of the resources other than Mail.
	Resources map[Resource][]string

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
	if f.Interactive() && g.Scope == "" { // of a grant from elsewhere, or of an older version
		g.Scope = scopeOf(a, nil)
	}
	if g.Obtained.After(now) { // by a clock that was ahead; what was issued now must count as later
		g.Obtained = now
	}
	return g, nil
}
