package auth

import (
	"strings"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// SharesPerson reports whether the grant of a may be of the same person and client as g,
// which p issued. Many providers revoke all such grants together.
func (a *Account) SharesPerson(p *oauth.Provider, g oauth.Grant) bool {
	if !a.Interactive() || !a.provider.SameClient(p) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	present := a.grant
	if a.damage != nil { // the person of an unreadable grant is not known
		return true
	}
	return !present.Empty() && (g.Identity == "" || present.Identity == "" || strings.EqualFold(g.Identity, present.Identity))
}

// Holds reports whether the grant of a has the refresh token or the access token of g.
// To revoke g would end the grant of a.
func (a *Account) Holds(g oauth.Grant) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	same := func(x, y string) bool { return x != "" && x == y }
	return same(a.grant.RefreshToken, g.RefreshToken) || same(a.grant.AccessToken, g.AccessToken)
}
