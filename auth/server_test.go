package auth

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

func newProvider(s *tokenserver.Server) *oauth.Provider {
	return &oauth.Provider{
		Name: "example",
		OAuth: oauth2.Config{
			ClientID:     "client",
			ClientSecret: "client-secret",
			Endpoint:     oauth2.Endpoint{AuthURL: "https://example.com/auth", TokenURL: "https://example.com/token"},
			RedirectURL:  "http://127.0.0.1:1180/callback",
			Scopes:       []string{"mail"},
		},
		Client: &http.Client{Transport: s, Timeout: 10 * time.Second},
	}
}

func openStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	return openWith(t, dir, store.Encryption{})
}

// newAccount is an account that has the grant g, or none if it is empty.
func testAccount(t *testing.T, s *tokenserver.Server, g oauth.Grant) *Account {
	t.Helper()
	store := openStore(t, filepath.Join(t.TempDir(), "state"))
	if !g.Empty() {
		if err := store.Save("joe", g); err != nil {
			t.Fatal(err)
		}
	}
	a := NewAccount("joe", newProvider(s), oauth.Consent{}, store, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() { a.Wait(context.WithoutCancel(t.Context())) }) // so that nothing is written afterwards
	return a
}

// granted is a grant that has had its access token for age, of an hour.
func granted(age time.Duration) oauth.Grant {
	then := time.Now().Round(0).Add(-age)
	return oauth.Grant{AccessToken: "token0", RefreshToken: "refresh0", Expiry: then.Add(time.Hour), Obtained: then}
}

// onDisk is what a daemon that starts now would have.
func onDisk(t *testing.T, a *Account) oauth.Grant {
	t.Helper()
	g, err := a.store.Load(a.name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func openWith(t *testing.T, dir string, e store.Encryption) *store.Store {
	t.Helper()
	s, err := store.Open(dir, e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
