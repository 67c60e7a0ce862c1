package oauth

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/xoauthd/xoauthd/internal/flow"
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

// Interactive returns false.
func (ServiceAccount) Interactive() bool { return false }

func (a ServiceAccount) token(ctx context.Context, p *Provider, _ Grant, r Resource) (answer, error) {
	assertion, err := a.sign(p.OAuth.Endpoint.TokenURL, p.scopes(r))
	if err != nil {
		return nil, &Error{Kind: Misconfigured, Err: fmt.Errorf("key of the service account: %w", err)}
	}
	form := url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}} // which authenticates: there is no client
	return p.checked(p.send(ctx, p.tokenEndpoint(), form, make(http.Header)))
}

func (a ServiceAccount) source() string { return string(flow.ServiceAccount) + " " + a.Email }

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
