package oauth

import (
	"context"
	"errors"
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
	form.Set("client_id", p.OAuth.ClientID)
	_, err = p.request(ctx, endpoint{"revocation endpoint", p.RevocationURL}, form)
	var e *Error
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.As(err, &e) && e.Code == "invalid_token": // Google: it was revoked already
		return true, nil
	case errors.As(err, &e) && e.Code == "unsupported_token_type": // RFC 7009 section 2.2.1: not supported
		return false, nil
	}
	return false, err
}
