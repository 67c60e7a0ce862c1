package auth

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// TestSharesPerson: what is not known is taken for the same person.
func TestSharesPerson(t *testing.T) {
	of := func(identity string) oauth.Grant {
		g := granted(0)
		g.Identity = identity
		return g
	}
	for _, test := range []struct {
		name        string
		kept, given oauth.Grant
		change      func(a *Account, p *oauth.Provider)
		want        bool
	}{
		{"the same", of("joe@example.com"), of("Joe@example.com"), nil, true},
		{"another", of("joe@example.com"), of("ann@example.com"), nil, false},
		{"the one is not known", of(""), of("ann@example.com"), nil, true},
		{"the other is not known", of("joe@example.com"), of(""), nil, true},
		{"there is none", oauth.Grant{}, of(""), nil, false},
		{"it cannot be read", oauth.Grant{}, of("ann@example.com"), func(a *Account, _ *oauth.Provider) { a.damage = errors.New("damaged") }, true},
		{"another client", of(""), of(""), func(_ *Account, p *oauth.Provider) { p.OAuth.ClientID = "other" }, false},
		{"another provider", of(""), of(""), func(_ *Account, p *oauth.Provider) { p.OAuth.Endpoint.TokenURL = "https://other.example/token" }, false},
		{"another path of the same", of(""), of(""), func(_ *Account, p *oauth.Provider) { p.OAuth.Endpoint.TokenURL += "/tenant" }, true},
		{"no person consents", of(""), of(""), func(a *Account, _ *oauth.Provider) { a.flow = oauth.ClientCredentials{} }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, p := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, test.kept), newProvider(&tokenserver.Server{Answer: tokenserver.Numbered})
			if test.change != nil {
				test.change(a, p)
			}
			if got := a.SharesPerson(p, test.given); got != test.want {
				t.Errorf("%s: %v", test.name, got)
			}
		})
	}
}
