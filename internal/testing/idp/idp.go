// Package idp is an OAuth 2.0 provider in memory for the demo and the tests. It requires
// no password: its consent page lets the visitor choose a mailbox. It uses the OpenID
// provider of github.com/zitadel/oidc and is as strict as the strictest mail providers:
//
//   - authorization code with PKCE, S256 only (RFC 7636), and the issuer in the response
//     (RFC 9207);
//   - refresh token rotation; the reuse of a refresh token ends the grant (RFC 9700
//     section 4.14.2);
//   - device authorization, which a test grants or denies (RFC 8628);
//   - if configured, client credentials, and assertions of the client or of a service
//     account (RFC 7523);
//   - opaque access tokens, introspection for one resource server (RFC 7662), revocation
//     (RFC 7009), discovery (RFC 8414).
package idp

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The endpoints of a provider are its issuer and one of these.
const (
	AuthorizePath  = "/authorize"
	TokenPath      = "/token"
	IntrospectPath = "/introspect"
	RevokePath     = "/revoke"
	DevicePath     = "/device_authorization"
)

// ScopeMail is the scope that opens a mailbox. For a refresh token, a client also requests
// "offline_access".
const ScopeMail = "mail"

// Config is the client, the service account and the users of a Server.
type Config struct {
	// Issuer is the URL of the server, without a path and on this machine.
	Issuer string

	// ClientID, ClientSecret and RedirectURLs are the registration of the only client.
	// Without a secret it is a public client, which may use any port in a redirect URL on
	// loopback (RFC 8252 section 7.3).
	ClientID, ClientSecret string
	RedirectURLs           []string

	// ClientKey is the public key of the client's certificate. If it is not nil, the
	// client authenticates with assertions (RFC 7523 section 2.2) and has no secret.
	ClientKey *rsa.PublicKey

	// ClientMailbox is the mailbox that the client opens by client credentials (RFC 6749
	// section 4.4); empty for none.
	ClientMailbox string

	// ServiceAccount may open every mailbox by assertions (RFC 7523 section 2.1), which
	// ServiceAccountKey verifies. Empty means that there is no service account.
	ServiceAccount    string
	ServiceAccountKey *rsa.PublicKey

	// Users are the mailboxes on the consent page.
	Users []string

	// AccessTokenLife is the life of access tokens; zero means an hour. Responses have it
	// in whole seconds, rounded up.
	AccessTokenLife time.Duration

	// ServiceID and ServiceSecret are the credentials of the mail server that may
	// introspect tokens; empty for none.
	ServiceID, ServiceSecret string
}

// A Server is the provider. It serves the endpoints and the consent page.
type Server struct {
	config   Config
	grants   *grants
	storage  *storage
	provider *op.Provider
	handler  http.Handler
	page     *template.Template
	tokens   atomic.Int64 // requests to the token endpoint
}

// New returns a provider without grants.
func New(c Config) (*Server, error) {
	if c.AccessTokenLife == 0 {
		c.AccessTokenLife = time.Hour
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Server{config: c, grants: newGrants(c.AccessTokenLife)}
	var err error
	if s.storage, err = newStorage(c, s.grants); err != nil {
		return nil, err
	}
	settings := &op.Config{
		CodeMethodS256:          true,
		AuthMethodPost:          true,
		AuthMethodPrivateKeyJWT: c.ClientKey != nil,
		GrantTypeRefreshToken:   true,
		SupportedScopes:         []string{ScopeMail, oidc.ScopeOpenID, oidc.ScopeEmail, oidc.ScopeOfflineAccess},
	}
	settings.DeviceAuthorization = op.DeviceAuthorizationConfig{
		Lifetime:     deviceCodeLife,
		PollInterval: deviceInterval,
		UserFormPath: "/device", // which has no page
		UserCode:     op.UserCodeBase20,
	}
	rand.Read(settings.CryptoKey[:]) // which never fails
	s.provider, err = op.NewProvider(settings, s.storage, op.StaticIssuer(c.Issuer),
		op.WithAllowInsecure(), // http, that is
		op.WithCORSOptions(nil),
		op.WithCustomAuthEndpoint(op.NewEndpoint(AuthorizePath)),
		op.WithCustomTokenEndpoint(op.NewEndpoint(TokenPath)),
		op.WithCustomDeviceAuthorizationEndpoint(op.NewEndpoint(DevicePath)),
		op.WithCustomIntrospectionEndpoint(op.NewEndpoint(IntrospectPath)),
		op.WithCustomRevocationEndpoint(op.NewEndpoint(RevokePath)))
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	if s.page, err = template.ParseFS(pages, "login.html"); err != nil {
		return nil, fmt.Errorf("login page: %w", err)
	}
	s.handler = s.routes()
	return s, nil
}

func (c Config) check() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if u, ok := op.HTTPLoopbackOrLocalhost(c.Issuer); !ok || u.Path != "" {
		fault("issuer %q: not the URL of a host on this machine, without a path", c.Issuer)
	}
	if c.ClientID == "" || len(c.RedirectURLs) == 0 {
		fault("the client needs an id and a redirect URL")
	}
	if c.ClientKey != nil && c.ClientSecret != "" {
		fault("the client has a key or a secret, not both")
	}
	if c.ClientMailbox != "" && !slices.Contains(c.Users, c.ClientMailbox) {
		fault("the client's mailbox %q is not a user's", c.ClientMailbox)
	}
	if (c.ServiceAccount == "") != (c.ServiceAccountKey == nil) || c.ServiceAccount != "" && c.ServiceAccount == c.ClientID {
		fault("the service account needs a name of its own and a key, or neither")
	}
	if (c.ServiceID == "") != (c.ServiceSecret == "") || c.ServiceID != "" && c.ServiceID == c.ClientID {
		fault("the mail server needs an id of its own and a secret, or neither")
	}
	if c.AccessTokenLife < 0 {
		fault("life of access tokens %v: negative", c.AccessTokenLife)
	}
	for _, user := range c.Users {
		// The library puts a colon between a token and its user.
		if a, err := mail.ParseAddress(user); err != nil || a.Address != user || strings.Contains(user, ":") {
			fault("user %q: not a mail address", user)
		}
	}
	return errors.Join(faults...)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.provider)
	mux.HandleFunc(TokenPath, s.token)
	mux.HandleFunc("GET "+oidc.DiscoveryEndpoint, s.discovery)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.discovery)
	mux.HandleFunc("GET "+loginPath, s.showLogin)
	mux.HandleFunc("POST "+loginPath, s.answerLogin)
	mux.HandleFunc("GET "+stylePath, style)
	return mux
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler.ServeHTTP(&issuerWriter{w, s.config.Issuer}, r)
}

// User returns the mailbox that an access token opens, and whether it is a valid token of
// this server with ScopeMail.
func (s *Server) User(accessToken string) (mailbox string, ok bool) {
	id, ok := s.tokenID(accessToken)
	if !ok {
		return "", false
	}
	t, ok := s.grants.access(id)
	if !ok || !slices.Contains(t.scopes, ScopeMail) {
		return "", false
	}
	return t.grant.mailbox, true
}

// Issue returns a new grant with a refresh token, as after a consent. The expiry is that
// of the access token.
func (s *Server) Issue(mailbox string) (access, refresh string, expiry time.Time, err error) {
	if !slices.Contains(s.config.Users, mailbox) {
		return "", "", time.Time{}, fmt.Errorf("%q is not a user of the provider", mailbox)
	}
	g := &grant{mailbox: mailbox, client: s.config.ClientID, time: time.Now(), scopes: []string{ScopeMail, oidc.ScopeOfflineAccess}}
	id, refresh, expiry := s.grants.add(g)
	access, err = op.CreateBearerToken(id, mailbox, s.provider.Crypto())
	return access, refresh, expiry, err
}

// RevokeAccess revokes one access token. The grant stays valid.
func (s *Server) RevokeAccess(token string) {
	if id, ok := s.tokenID(token); ok {
		s.grants.revoke(id)
	}
}

// RevokeAll revokes all grants of a mailbox and their access tokens: the next refresh
// fails with invalid_grant.
func (s *Server) RevokeAll(mailbox string) {
	s.grants.revokeAll(mailbox)
}

// TokenRequests returns the number of requests to the token endpoint, including failed
// ones.
func (s *Server) TokenRequests() int {
	return int(s.tokens.Load())
}

// tokenID returns the ID that the library has put into an access token.
func (s *Server) tokenID(accessToken string) (id string, ok bool) {
	text, err := s.provider.Crypto().Decrypt(accessToken)
	if err != nil {
		return "", false
	}
	id, _, ok = strings.Cut(text, ":")
	return id, ok
}
