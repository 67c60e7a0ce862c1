package oauth

import (
	"context"
	"net/url"
)

// Revoke revokes g at the provider by its refresh token, which ends its access tokens, too
// (RFC 7009 section 2.1). told is false if g is empty, and if the provider has no revocation
// endpoint. Its errors are of type *Error, or that of ctx.
func (p *Provider) Revoke(ctx context.Context, g Grant) (told bool, err error) {
	if p.RevocationURL == "" || g.Empty() {
		return false, nil
	}
	form := url.Values{"token": {g.RefreshToken}, "token_type_hint": {"refresh_token"}}
	if g.RefreshToken == "" {
		form = url.Values{"token": {g.AccessToken}, "token_type_hint": {"access_token"}}
	}
	if _, err = p.post(ctx, p.RevocationURL, form); err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	e := p.failure(err)
	switch e.Code {
	case "invalid_token": // Google: it was revoked already
		return true, nil
	case "unsupported_token_type": // RFC 7009 section 2.2.1: not supported
		return false, nil
	}
	e.endpoint = "revocation endpoint"
	return false, e
}
