package oauth

import (
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxAddress is the longest mail address, in bytes (RFC 5321 section 4.5.3.1.3).
const maxAddress = 254

// SignatureAlgorithms returns the signature algorithms of RFC 7518 section 3.1 and RFC 8037,
// for reading tokens whose signature is not checked.
func SignatureAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.HS256, jose.HS384, jose.HS512,
	}
}

// identity returns the address of the person who consented, from raw, an id_token. It
// is empty without an id_token, and if it is of another client, has no address, contains a
// secret or cannot be parsed. It is for people; a grant is kept without it.
//
// The signature is not checked: the token came from the token endpoint over TLS, which is
// sufficient (OpenID Connect Core section 3.1.3.7).
func (p *Provider) identity(raw string) string {
	idToken, err := jwt.ParseSigned(raw, SignatureAlgorithms())
	if err != nil {
		return ""
	}
	var claims struct {
		Audience jwt.Audience `json:"aud"`
		Email    any          `json:"email"`
		Username any          `json:"preferred_username"`
		UPN      any          `json:"upn"` // of Entra
	}
	if idToken.UnsafeClaimsWithoutVerification(&claims) != nil || !slices.Contains(claims.Audience, p.OAuth.ClientID) {
		return ""
	}
	for _, claim := range []any{claims.Email, claims.Username, claims.UPN} {
		address, _ := claim.(string)
		if strings.Contains(address, "@") && len(address) <= maxAddress && address == OneLine(address) && p.secrets().Clean(address) {
			return address
		}
	}
	return ""
}
