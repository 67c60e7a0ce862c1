package idp

import (
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// client is the registration of the only client.
type client struct{ Config }

var _ op.Client = client{}

// The methods of op.Client. The library accepts a client secret in the header and in the
// form.

func (c client) GetID() string                    { return c.ClientID }
func (c client) RedirectURIs() []string           { return c.RedirectURLs }
func (c client) PostLogoutRedirectURIs() []string { return nil }
func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (c client) IDTokenLifetime() time.Duration       { return c.AccessTokenLife }
func (c client) DevMode() bool                        { return false }
func (c client) IsScopeAllowed(scope string) bool     { return scope == ScopeMail }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c client) ClockSkew() time.Duration             { return 0 }

func (c client) GrantTypes() []oidc.GrantType {
	types := []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeDeviceCode}
	if c.ClientMailbox != "" {
		types = append(types, oidc.GrantTypeClientCredentials)
	}
	return types
}

func (c client) ApplicationType() op.ApplicationType {
	if c.AuthMethod() == oidc.AuthMethodNone {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

func (c client) AuthMethod() oidc.AuthMethod {
	switch {
	case c.ClientKey != nil:
		return oidc.AuthMethodPrivateKeyJWT
	case c.ClientSecret == "":
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

func (c client) LoginURL(id string) string {
	return c.Issuer + loginPath + "?id=" + url.QueryEscape(id)
}

func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
