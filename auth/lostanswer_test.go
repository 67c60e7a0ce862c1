package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// TestLostAnswer: a provider that has rotated the refresh token, and whose answer
// did not arrive, refuses the earlier one. The account says why.
func TestLostAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		hint   string
	}{
		{"the connection breaks", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "was lost: xoauthd was killed, or the connection broke"},
		{"half of the answer", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"access_token":"token1","refr`))
		}, "was lost"},
		{"the provider is out of order", func(w http.ResponseWriter) { w.WriteHeader(503) }, new(oauth.Provider).Hint("invalid_grant", "")},
		{"the answer is of no use", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"access_token":"token1","token_type":"mac"}`))
		}, new(oauth.Provider).Hint("invalid_grant", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked++; asked == 1 {
					tt.answer(w)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(400)
				w.Write([]byte(`{"error":"invalid_grant"}`))
			}))
			defer provider.Close()
			a := testAccount(t, nil, granted(time.Hour))
			a.provider = remote(provider.URL)
			if _, err := a.Token(t.Context(), ""); err == nil || errors.Is(err, oauth.ErrNeedsAuthorization) {
				t.Fatalf("first: %v", err)
			}
			a.state(oauth.Mail).retry = time.Time{}
			if _, err := a.Token(t.Context(), ""); !errors.Is(err, oauth.ErrNeedsAuthorization) {
				t.Fatalf("second: %v", err)
			}
			if s := a.Status(); !strings.Contains(s.Hint, tt.hint) {
				t.Errorf("the hint is %q, want %q", s.Hint, tt.hint)
			}
		})
	}
	t.Run("nothing was sent", func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.In(2, tokenserver.Always(0, ""), tokenserver.Always(400, `{"error":"invalid_grant"}`))}, granted(time.Hour))
		a.Token(t.Context(), "")
		a.state(oauth.Mail).retry = time.Time{}
		a.Token(t.Context(), "")
		if s := a.Status(); s.Hint != new(oauth.Provider).Hint("invalid_grant", "") {
			t.Errorf("the hint is %q", s.Hint)
		}
	})
}
