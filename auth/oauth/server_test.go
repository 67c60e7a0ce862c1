package oauth

import (
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/internal/testing/children"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

func TestMain(m *testing.M) {
	children.Supervise()
	os.Exit(m.Run())
}

// newProvider returns a provider whose endpoints s serves.
func newProvider(s *tokenserver.Server) *Provider {
	return &Provider{
		Name: "example",
		OAuth: oauth2.Config{
			ClientID:     "client",
			ClientSecret: "client-secret",
			Endpoint:     oauth2.Endpoint{AuthURL: "https://example.com/auth", TokenURL: "https://example.com/token"},
			RedirectURL:  "http://127.0.0.1:1180/callback",
			Scopes:       []string{"mail"},
		},
		Client: &http.Client{Transport: s, Timeout: callTime},
	}
}

// granted returns a grant whose access token was issued age ago, for an hour.
func granted(age time.Duration) Grant {
	then := time.Now().Round(0).Add(-age)
	return Grant{AccessToken: "token0", RefreshToken: "refresh0", Expiry: then.Add(time.Hour), Obtained: then}
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}
