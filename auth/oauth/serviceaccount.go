package oauth

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"
)

// A ServiceAccount obtains tokens for a mailbox by an assertion (RFC 7523 section 2.1), after
// an administrator has delegated the mailboxes of the domain to it. It is the flow of Google
// without a person.
type ServiceAccount struct {
	Email   string // of the service account, as in its key file
	KeyID   string
	Key     *rsa.PrivateKey
	Subject string // the mailbox
}

const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func (a ServiceAccount) token(ctx context.Context, p *Provider) (*oauth2.Token, error) {
	assertion, err := a.sign(p.OAuth.Endpoint.TokenURL, p.OAuth.Scopes)
	if err != nil {
		return nil, &Error{Kind: Misconfigured, Err: fmt.Errorf("key of the service account: %w", err)}
	}
	// The assertion authenticates; there is no client.
	nobody := Provider{Client: p.Client, Secrets: p.secrets(), OAuth: oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: p.OAuth.Endpoint.TokenURL}}}
	return nobody.call(ctx, url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}})
}

func (a ServiceAccount) kind() string { return "service_account " + a.Email }

func (a ServiceAccount) sign(audience string, scopes []string) (string, error) {
	key := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: a.Key, KeyID: a.KeyID}}
	signer, err := jose.NewSigner(key, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return "", err
	}
	scope := struct {
		Scope string `json:"scope"`
	}{strings.Join(scopes, " ")}
	return jwt.Signed(signer).Claims(claims(a.Email, a.Subject, audience)).Claims(scope).Serialize()
}
