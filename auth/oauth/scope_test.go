package oauth

import (
	"testing"
	"testing/synctest"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// TestScopeOf: a provider need not repeat what it was asked for.
func TestScopeOf(t *testing.T) {
	for answer, want := range map[string]string{
		`{"access_token":"at"}`:                          "mail",
		`{"access_token":"at","scope":""}`:               "mail",
		`{"access_token":"at","scope":"mail send"}`:      "mail send",
		`{"access_token":"at","scope":["mail"]}`:         "mail",
		`{"access_token":"at","scope":"mail\r\nopenid"}`: "mail openid",
	} {
		synctest.Test(t, func(t *testing.T) {
			g, err := newProvider(&tokenserver.Server{Answer: tokenserver.Always(200, answer)}).Exchange(t.Context(), "code1", "verifier1")
			if err != nil || g.Scope != want {
				t.Errorf("%s: scope %q, %v; want %q", answer, g.Scope, err, want)
			}
		})
	}
}
