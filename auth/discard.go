package auth

import (
	"context"
	"net/url"
	"strings"
)

// Discard revokes g, which no account has, at the provider. told is false if the provider
// has no revocation endpoint. Its errors are of type *Error, or that of ctx.
func (p *Provider) Discard(ctx context.Context, g Grant) (told bool, err error) {
	if p.RevocationURL == "" || g.empty() {
		return false, nil
	}
	return p.revoke(ctx, g)
}

// SharesPerson reports whether the grant of a may be of the same person and client as g,
// which p issued. Many providers revoke all such grants together.
func (a *Account) SharesPerson(p *Provider, g Grant) bool {
	if a.flow != nil || !sameClient(a.provider, p) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	present := a.grant
	if a.damage != nil { // the person of an unreadable grant is not known
		return true
	}
	return !present.empty() && (g.Identity == "" || present.Identity == "" || strings.EqualFold(g.Identity, present.Identity))
}

// Holds reports whether the grant of a has the refresh token or the access token of g.
// To revoke g would end the grant of a.
func (a *Account) Holds(g Grant) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	same := func(x, y string) bool { return x != "" && x == y }
	return same(a.grant.RefreshToken, g.RefreshToken) || same(a.grant.AccessToken, g.AccessToken)
}

// sameClient reports whether p and q are the same registration at a provider.
func sameClient(p, q *Provider) bool {
	return p.OAuth.ClientID == q.OAuth.ClientID && tokenHost(p) == tokenHost(q)
}

func tokenHost(p *Provider) string {
	u, err := url.Parse(p.OAuth.Endpoint.TokenURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
