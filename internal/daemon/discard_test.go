package daemon

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// TestDiscard checks that an unused grant is revoked, unless that could end a grant that is in
// use.
func TestDiscard(t *testing.T) {
	grant := func(token, identity string) oauth.Grant {
		return oauth.Grant{AccessToken: "at-" + token, RefreshToken: token, Identity: identity, Obtained: time.Now(), Expiry: time.Now().Add(time.Hour)}
	}
	const alice, bob, carol = "alice@example.com", "bob@example.com", "carol@example.com"
	for _, test := range []struct {
		name       string
		revocation string
		kept       map[string]oauth.Grant // by account
		do         func(t *testing.T, alice *manager)
		revoked    []string
	}{
		{"replaced by one of the same person", "all", map[string]oauth.Grant{alice: grant("old", alice)},
			func(t *testing.T, m *manager) { keep(t, m, grant("new", alice)) }, nil},
		{"replaced by one of the same person; revocation is of a grant", "grant", map[string]oauth.Grant{alice: grant("old", alice)},
			func(t *testing.T, m *manager) { keep(t, m, grant("new", alice)) }, []string{"old"}},
		{"replaced by one of another person", "all", map[string]oauth.Grant{alice: grant("old", carol)},
			func(t *testing.T, m *manager) { keep(t, m, grant("new", alice)) }, []string{"old"}},
		{"replaced by one without identity", "all", map[string]oauth.Grant{alice: grant("old", carol)},
			func(t *testing.T, m *manager) { keep(t, m, grant("new", "")) }, nil},
		{"the first", "grant", nil,
			func(t *testing.T, m *manager) { keep(t, m, grant("new", alice)) }, nil},
		{"not kept, of another person", "all", map[string]oauth.Grant{alice: grant("old", alice)},
			func(t *testing.T, m *manager) { m.Discard(grant("new", carol)) }, []string{"new"}},
		{"not kept, of a person with another account", "all", map[string]oauth.Grant{bob: grant("old", carol)},
			func(t *testing.T, m *manager) { m.Discard(grant("new", "Carol@example.com")) }, nil},
		{"not kept, without identity", "all", map[string]oauth.Grant{bob: grant("old", bob)},
			func(t *testing.T, m *manager) { m.Discard(grant("new", "")) }, nil},
		{"not kept, without identity; no other grant", "all", nil,
			func(t *testing.T, m *manager) { m.Discard(grant("new", "")) }, []string{"new"}},
		{"not kept; revocation is of a grant", "grant", map[string]oauth.Grant{alice: grant("old", alice)},
			func(t *testing.T, m *manager) { m.Discard(grant("new", alice)) }, []string{"new"}},
		{"replaced by one with the same refresh token", "grant", map[string]oauth.Grant{alice: grant("old", alice)},
			func(t *testing.T, m *manager) {
				g := grant("old", alice)
				g.AccessToken = "at-new"
				keep(t, m, g)
			}, nil},
		{"replaced by one with the same access token", "grant", map[string]oauth.Grant{alice: grant("old", alice)},
			func(t *testing.T, m *manager) {
				g := grant("new", alice)
				g.AccessToken = "at-old"
				keep(t, m, g)
			}, nil},
		{"replaced, but in use by another account", "grant", map[string]oauth.Grant{alice: grant("old", alice), bob: grant("old", alice)},
			func(t *testing.T, m *manager) { keep(t, m, grant("new", alice)) }, nil},
		{"not kept, but in use by another account", "grant", map[string]oauth.Grant{bob: grant("old", bob)},
			func(t *testing.T, m *manager) { m.Discard(grant("old", alice)) }, nil},
		{"replaced by one without an access token", "grant", map[string]oauth.Grant{alice: {RefreshToken: "old"}},
			func(t *testing.T, m *manager) { keep(t, m, oauth.Grant{RefreshToken: "new"}) }, []string{"old"}},
		{"an access token only", "grant", nil,
			func(t *testing.T, m *manager) { m.Discard(oauth.Grant{AccessToken: "at"}) }, []string{"at"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			var revoked []string
			provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				time.Sleep(50 * time.Millisecond) // which Close waits for
				mu.Lock()
				defer mu.Unlock()
				revoked = append(revoked, r.PostFormValue("token"))
			}))
			defer provider.Close()
			d := assembleOpen(t, "")
			for _, p := range d.accounts.providers {
				p.client.RevocationURL, p.config.Revocation = provider.URL, test.revocation
			}
			for name, g := range test.kept {
				if err := d.accounts.byName[name].grants.Keep(g); err != nil {
					t.Fatal(err)
				}
			}
			test.do(t, d.manager(alice, nil))
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(revoked, test.revoked) {
				t.Errorf("revoked %q, want %q", revoked, test.revoked)
			}
		})
	}
}

func keep(t *testing.T, m *manager, g oauth.Grant) {
	t.Helper()
	if err := m.Keep(g, m.Access(), false); err != nil {
		t.Error(err)
	}
}

// TestDiscardNotSaved checks that a grant that is still on disk is not revoked.
func TestDiscardNotSaved(t *testing.T) {
	var asked int
	provider := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer provider.Close()
	d := assembleOpen(t, "")
	m := d.manager("alice@example.com", nil)
	m.account.provider.client.RevocationURL, m.account.provider.config.Revocation = provider.URL, "grant"
	if err := m.account.grants.Keep(oauth.Grant{AccessToken: "at", RefreshToken: "old"}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Keep(oauth.Grant{AccessToken: "at", RefreshToken: "new"}, m.Access(), false); err == nil {
		t.Error("a closed store keeps grants")
	}
	d.discards.Wait()
	if asked > 0 {
		t.Error("the grant on disk was revoked")
	}
}
