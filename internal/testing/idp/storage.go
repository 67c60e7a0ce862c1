package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// storage implements op.Storage in memory.
type storage struct {
	*consents
	*devices
	config Config
	grants *grants
	key    signingKey
}

var _ op.Storage = (*storage)(nil)

func newStorage(c Config, gs *grants) (*storage, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of ID tokens: %w", err)
	}
	return &storage{
		consents: &consents{open: make(map[string]consent)},
		devices:  &devices{byCode: make(map[string]*device)},
		config:   c,
		grants:   gs,
		key:      signingKey{rand.Text(), key},
	}, nil
}

// CreateAccessToken implements op.AuthStorage for grants without a refresh token: codes
// without offline_access, and flows without a person.
func (s *storage) CreateAccessToken(ctx context.Context, r op.TokenRequest) (id string, expiry time.Time, err error) {
	id, _, expiry, err = s.CreateAccessAndRefreshTokens(ctx, r, "")
	return id, expiry, err
}

// CreateAccessAndRefreshTokens implements op.AuthStorage. If current is not empty, r is a
// refresh.
func (s *storage) CreateAccessAndRefreshTokens(_ context.Context, r op.TokenRequest, current string) (id, refresh string, expiry time.Time, err error) {
	if current != "" {
		id, refresh, expiry, err = s.grants.renew(current, r.GetScopes())
		return id, refresh, roundUp(expiry), err
	}
	g := &grant{time: time.Now(), mailbox: r.GetSubject(), scopes: r.GetScopes()}
	switch r := r.(type) {
	case consent:
		g.client, g.time = r.GetClientID(), r.time
	case byItself:
		g.client = s.config.ClientID
	case *oidc.JWTTokenRequest:
		g.client = r.Issuer
	case *op.DeviceAuthorizationState:
		g.client, g.time = r.ClientID, r.AuthTime
	default:
		return "", "", time.Time{}, oidc.ErrUnsupportedGrantType()
	}
	id, refresh, expiry = s.grants.add(g)
	return id, refresh, roundUp(expiry), nil
}

// roundUp compensates for the library, which rounds the remaining seconds down: an hour
// would become 3599 seconds, and a second 0.
func roundUp(expiry time.Time) time.Time {
	return expiry.Add(time.Second - time.Nanosecond)
}

// TokenRequestByRefreshToken implements op.AuthStorage.
func (s *storage) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	g, err := s.grants.use(token)
	if err != nil {
		return nil, err
	}
	return &refreshRequest{g}, nil
}

// A refreshRequest is a grant that is being refreshed.
type refreshRequest struct{ grant }

// The methods of op.RefreshTokenRequest.

func (r *refreshRequest) GetAMR() []string            { return nil }
func (r *refreshRequest) GetAudience() []string       { return []string{r.client} }
func (r *refreshRequest) GetAuthTime() time.Time      { return r.time }
func (r *refreshRequest) GetClientID() string         { return r.client }
func (r *refreshRequest) GetScopes() []string         { return r.scopes }
func (r *refreshRequest) GetSubject() string          { return r.mailbox }
func (r *refreshRequest) SetCurrentScopes(s []string) { r.scopes = s }

// GetRefreshTokenInfo implements op.AuthStorage.
func (s *storage) GetRefreshTokenInfo(_ context.Context, clientID, token string) (user, id string, err error) {
	g, ok := s.grants.owner(token)
	if !ok || g.client != clientID {
		return "", "", op.ErrInvalidRefreshToken
	}
	return g.mailbox, token, nil
}

// RevokeToken implements op.AuthStorage. An unknown token counts as revoked (RFC 7009
// section 2.2).
func (s *storage) RevokeToken(_ context.Context, token, _, clientID string) *oidc.Error {
	if clientID != s.config.ClientID {
		return oidc.ErrInvalidClient()
	}
	s.grants.revoke(token)
	return nil
}

// TerminateSession implements op.AuthStorage. There are no sign-in sessions.
func (s *storage) TerminateSession(context.Context, string, string) error { return nil }

// GetClientByClientID implements op.OPStorage.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != s.config.ClientID {
		return nil, oidc.ErrInvalidClient().WithDescription("client unknown")
	}
	return client{s.config}, nil
}

// AuthorizeClientIDSecret implements op.OPStorage, for the client and for the
// mail server.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	var want string
	switch {
	case id == s.config.ClientID:
		want = s.config.ClientSecret
	case id == s.config.ServiceID && id != "":
		want = s.config.ServiceSecret
	default:
		return oidc.ErrInvalidClient().WithDescription("client unknown")
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(want)) != 1 {
		return oidc.ErrInvalidClient().WithDescription("wrong client secret")
	}
	return nil
}

// SetUserinfoFromScopes implements op.OPStorage, for the ID token.
func (s *storage) SetUserinfoFromScopes(_ context.Context, info *oidc.UserInfo, user, _ string, _ []string) error {
	describe(info, user)
	return nil
}

// SetUserinfoFromToken implements op.OPStorage, for the userinfo endpoint.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, id, user, _ string) error {
	if _, ok := s.grants.access(id); !ok {
		return errNoToken
	}
	describe(info, user)
	return nil
}

// SetIntrospectionFromToken implements op.OPStorage. The response has no lists and no
// objects, because the oauth2 passdb of Dovecot 2.3 reads neither.
func (s *storage) SetIntrospectionFromToken(_ context.Context, r *oidc.IntrospectionResponse, id, user, clientID string) error {
	t, ok := s.grants.access(id)
	if !ok || clientID != s.config.ServiceID {
		return errNoToken
	}
	info := new(oidc.UserInfo)
	describe(info, user)
	r.SetUserInfo(info)
	r.Scope = t.scopes
	r.ClientID = t.grant.client
	r.TokenType = oidc.BearerToken
	r.Expiration = oidc.FromTime(t.expiry)
	r.Issuer = s.config.Issuer
	return nil
}

var errNoToken = errors.New("access token unknown, expired or revoked")

func describe(info *oidc.UserInfo, user string) {
	info.Subject = user
	info.PreferredUsername = user
	info.Email = user
	info.EmailVerified = true
}

// GetPrivateClaimsFromScopes implements op.OPStorage for access tokens that are JWTs.
// There are none.
func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

// Health implements op.Storage.
func (s *storage) Health(context.Context) error { return nil }
