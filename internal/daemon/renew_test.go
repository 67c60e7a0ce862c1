package daemon

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
)

// TestRenews checks that a token past half of its life is refreshed without a login, and that
// a refresh that ends during the shutdown is saved.
func TestRenews(t *testing.T) {
	asked := make(chan struct{})
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("refresh_token") == "refresh0" {
			close(asked)
		}
		io.WriteString(w, `{"access_token":"token1","refresh_token":"refresh1","token_type":"Bearer"}`)
	}))
	defer provider.Close()
	c := load(t, listeners)
	c.Providers["one"].TokenURL = provider.URL
	then := time.Now().Add(-50 * time.Minute)
	grant := oauth.Grant{AccessToken: "token0", RefreshToken: "refresh0", Obtained: then, Expiry: then.Add(time.Hour)}
	withStore := func(do func(*store.Store) error) {
		t.Helper()
		store, err := store.Open(c.StateDirectory, store.Encryption{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(do(store), store.Close()); err != nil {
			t.Fatal(err)
		}
	}
	withStore(func(s *store.Store) error { return s.Save("alice@example.com", grant) })

	_, stop := start(t, c)
	select {
	case <-asked:
	case <-time.After(10 * time.Second):
		t.Fatal("the provider is not asked")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	withStore(func(s *store.Store) (err error) {
		grant, err = s.Load("alice@example.com")
		return err
	})
	if grant.AccessToken != "token1" || grant.RefreshToken != "refresh1" {
		t.Errorf("on disk: %+v", grant)
	}
}
