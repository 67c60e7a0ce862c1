package idp

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// An exchanger is the token endpoint of the library for assertions whose audience is the
// endpoint, as at Microsoft and Google, instead of the issuer.
type exchanger struct {
	*op.Provider
	config Config
}

// JWTProfileVerifier implements op.JWTAuthorizationGrantExchanger.
func (e exchanger) JWTProfileVerifier(context.Context) *op.JWTProfileVerifier {
	return op.NewJWTProfileVerifier(e.Storage(), e.config.Issuer+TokenPath, 10*time.Minute, 0, op.SubjectCheck(e.subject))
}

// subject checks the subject of an assertion. A client may name only itself, a service
// account any user.
func (e exchanger) subject(r *oidc.JWTTokenRequest) error {
	switch {
	case r.Issuer == e.config.ClientID && r.Subject == r.Issuer:
		return nil
	case r.Issuer == e.config.ServiceAccount && slices.Contains(e.config.Users, r.Subject):
		return nil
	}
	return oidc.ErrInvalidGrant().WithDescription("unknown subject")
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.tokens.Add(1)
	e := exchanger{s.provider, s.config}
	ctx := op.ContextWithIssuer(r.Context(), s.config.Issuer)
	if r.PostFormValue("grant_type") == string(oidc.GrantTypeClientCredentials) && r.PostForm.Has("client_assertion") {
		// For all other grant types, the library checks the assertion.
		if _, err := op.AuthorizePrivateJWTKey(ctx, r.PostFormValue("client_assertion"), e); err != nil {
			op.RequestError(w, r, oidc.ErrInvalidClient().WithParent(err), nil)
			return
		}
		ctx = context.WithValue(ctx, provenKey{}, true)
	}
	op.Exchange(w, r.WithContext(ctx), e)
}

// provenKey is the context key of whether the client is authenticated.
type provenKey struct{}

var _ op.ClientCredentialsStorage = (*storage)(nil)

// ClientCredentials implements op.ClientCredentialsStorage.
func (s *storage) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := s.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	if ctx.Value(provenKey{}) != nil {
		return c, nil
	}
	if s.config.ClientSecret == "" {
		return nil, oidc.ErrInvalidClient().WithDescription("the client has no secret")
	}
	return c, s.AuthorizeClientIDSecret(ctx, id, secret)
}

// A byItself is a token request by client credentials.
type byItself struct {
	mailbox string
	scopes  []string
}

// The methods of op.TokenRequest.

func (r byItself) GetSubject() string    { return r.mailbox }
func (r byItself) GetAudience() []string { return nil }
func (r byItself) GetScopes() []string   { return r.scopes }

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (s *storage) ClientCredentialsTokenRequest(_ context.Context, _ string, scopes []string) (op.TokenRequest, error) {
	if !slices.Equal(scopes, []string{ScopeMail}) {
		return nil, oidc.ErrInvalidScope()
	}
	return byItself{s.config.ClientMailbox, scopes}, nil
}

// GetKeyByIDAndClientID implements op.OPStorage. The client and the service account have
// one key each.
func (s *storage) GetKeyByIDAndClientID(_ context.Context, _, id string) (*jose.JSONWebKey, error) {
	switch {
	case id == s.config.ClientID && s.config.ClientKey != nil:
		return &jose.JSONWebKey{Key: s.config.ClientKey}, nil
	case id == s.config.ServiceAccount && s.config.ServiceAccountKey != nil:
		return &jose.JSONWebKey{Key: s.config.ServiceAccountKey}, nil
	}
	return nil, oidc.ErrInvalidClient().WithDescription("no key is known")
}

// ValidateJWTProfileScopes implements op.OPStorage. The library does not read
// the scopes within an assertion.
func (s *storage) ValidateJWTProfileScopes(_ context.Context, issuer string, _ []string) ([]string, error) {
	if issuer != s.config.ServiceAccount {
		return nil, oidc.ErrUnauthorizedClient()
	}
	return []string{ScopeMail}, nil
}
