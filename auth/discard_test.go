package auth

import (
	"errors"
	"testing"
	"testing/synctest"
)

// TestSharesPerson: what is not known is taken for the same person.
func TestSharesPerson(t *testing.T) {
	of := func(identity string) Grant {
		g := granted(0)
		g.Identity = identity
		return g
	}
	for _, test := range []struct {
		name        string
		kept, given Grant
		change      func(a *Account, p *Provider)
		want        bool
	}{
		{"the same", of("joe@example.com"), of("Joe@example.com"), nil, true},
		{"another", of("joe@example.com"), of("ann@example.com"), nil, false},
		{"the one is not known", of(""), of("ann@example.com"), nil, true},
		{"the other is not known", of("joe@example.com"), of(""), nil, true},
		{"there is none", Grant{}, of(""), nil, false},
		{"it cannot be read", Grant{}, of("ann@example.com"), func(a *Account, _ *Provider) { a.damage = errors.New("damaged") }, true},
		{"another client", of(""), of(""), func(_ *Account, p *Provider) { p.OAuth.ClientID = "other" }, false},
		{"another provider", of(""), of(""), func(_ *Account, p *Provider) { p.OAuth.Endpoint.TokenURL = "https://other.example/token" }, false},
		{"another path of the same", of(""), of(""), func(_ *Account, p *Provider) { p.OAuth.Endpoint.TokenURL += "/tenant" }, true},
		{"no person consents", of(""), of(""), func(a *Account, _ *Provider) { a.flow = ClientCredentials{} }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, p := newAccount(t, &server{answer: numbered}, test.kept), newProvider(&server{answer: numbered})
			if test.change != nil {
				test.change(a, p)
			}
			if got := a.SharesPerson(p, test.given); got != test.want {
				t.Errorf("%s: %v", test.name, got)
			}
		})
	}
}

// TestProviderDiscard: Discard sends no request without an endpoint or a token.
func TestProviderDiscard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: always(200, "")}
		p := newProvider(s)
		if told, err := p.Discard(t.Context(), granted(0)); told || err != nil {
			t.Errorf("without an endpoint: %v, %v", told, err)
		}
		p.RevocationURL = "https://example.com/revoke"
		if told, err := p.Discard(t.Context(), Grant{}); told || err != nil || s.count() != 0 {
			t.Errorf("without a token: %v, %v", told, err)
		}
		if told, err := p.Discard(t.Context(), granted(0)); !told || err != nil || s.requests[0].Get("token") != "refresh0" {
			t.Errorf("%v, %v", told, err)
		}
	})
}
