package oauth

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/go-jose/go-jose/v4"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

func TestServiceAccount(t *testing.T) {
	key := rsaKey(t)
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Numbered}
		p := newProvider(s)
		p.OAuth.Scopes = []string{"https://mail.google.com/", "more"}
		p.Assertion = FederatedToken("/nowhere") // of the client, which does not authenticate
		g, err := p.Refresh(t.Context(), ServiceAccount{"robot@project.example.com", "key1", key, "joe@example.com"}, Grant{})
		if g.AccessToken != "token1" || err != nil {
			t.Fatalf("grant = %+v, %v", g, err)
		}
		form := s.Requests[0]
		header, claims := verified(t, form.Get("assertion"), jose.RS256, key)
		if header.KeyID != "key1" || header.ExtraHeaders["typ"] != "JWT" {
			t.Errorf("header = %+v", header)
		}
		wantClaims(t, claims, map[string]any{
			"iss": "robot@project.example.com", "sub": "joe@example.com", "aud": "https://example.com/token",
			"scope": "https://mail.google.com/ more", "iat": -60, "nbf": -60, "exp": 240,
		})
		if form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(form) != 2 {
			t.Errorf("request %v", form)
		}
	})
}

// What Google says of a service account that is set up in part is for the
// operator, in its words.
func TestServiceAccountRefused(t *testing.T) {
	key := rsaKey(t)
	for name, tt := range map[string]struct{ body, want string }{
		"no delegation": {
			`{"error":"unauthorized_client","error_description":"Client is unauthorized to retrieve access tokens using this method."}`,
			"token endpoint: unauthorized_client: Client is unauthorized to retrieve access tokens using this method.",
		},
		"unknown mailbox": {
			`{"error":"invalid_grant","error_description":"Invalid email or User ID"}`,
			"token endpoint: invalid_grant: Invalid email or User ID",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(&tokenserver.Server{Answer: tokenserver.Always(400, tt.body)})
			_, err := p.Refresh(t.Context(), ServiceAccount{"robot@example.com", "key1", key, "joe@example.com"}, Grant{})
			var e *Error
			if !errors.As(err, &e) || e.Kind != Misconfigured || err.Error() != tt.want {
				t.Errorf("err = %v, want %s", err, tt.want)
			}
		})
	}
}
