package oauth

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// signed is an ID token with these claims, by a key that nobody knows.
func signed(t *testing.T, claims map[string]any) string {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestIdentity(t *testing.T) {
	type claims map[string]any
	good := signed(t, claims{"aud": "client", "email": "joe@example.com"})
	long := strings.Repeat("a", maxAddress-len("@example.com")) + "@example.com"
	for _, tt := range []struct{ name, token, want string }{
		{"an address", good, "joe@example.com"},
		{"several audiences", signed(t, claims{"aud": []string{"other", "client"}, "email": "joe@example.com"}), "joe@example.com"},
		{"address before user name", signed(t, claims{"aud": "client", "email": "joe@example.com", "preferred_username": "ann@example.com"}), "joe@example.com"},
		{"a user name that is an address", signed(t, claims{"aud": "client", "preferred_username": "joe@example.com"}), "joe@example.com"},
		{"a principal name", signed(t, claims{"aud": "client", "preferred_username": "joe", "upn": "joe@example.com"}), "joe@example.com"},
		{"an address of another type", signed(t, claims{"aud": "client", "email": 7, "upn": "joe@example.com"}), "joe@example.com"},
		{"the longest address", signed(t, claims{"aud": "client", "email": long}), long},
		{"longer than any address", signed(t, claims{"aud": "client", "email": "a" + long}), ""},
		{"only a user name", signed(t, claims{"aud": "client", "preferred_username": "joe"}), ""},
		{"an address of two lines", signed(t, claims{"aud": "client", "email": "joe@example.com\r\nann"}), ""},
		{"an address that turns the direction", signed(t, claims{"aud": "client", "email": "joe@example.com\u202e"}), ""},
		{"another client's", signed(t, claims{"aud": "other", "email": "joe@example.com"}), ""},
		{"nobody's", signed(t, claims{"email": "joe@example.com"}), ""},
		{"an audience of another type", signed(t, claims{"aud": 7, "email": "joe@example.com"}), ""},
		{"truncated", good[:len(good)/2], ""},
		{"unsigned", "eyJhbGciOiJub25lIn0.eyJhdWQiOiJjbGllbnQiLCJlbWFpbCI6ImpvZUBleGFtcGxlLmNvbSJ9.", ""},
		{"no token", "x", ""},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &tokenserver.Server{Answer: tokenserver.Always(200, fmt.Sprintf(`{"access_token":"at","refresh_token":"rt","id_token":%q}`, tt.token))}
			g, err := newProvider(s).Exchange(t.Context(), "code1", "verifier1")
			if err != nil || g.AccessToken != "at" {
				t.Fatalf("grant = %+v, %v", g, err)
			}
			if g.Identity != tt.want {
				t.Errorf("identity = %q, want %q", g.Identity, tt.want)
			}
		})
	}
	for name, answer := range map[string]string{
		"no ID token":              `{"access_token":"at"}`,
		"ID token of another type": `{"access_token":"at","id_token":{"email":"joe@example.com"}}`,
	} {
		g, err := newProvider(&tokenserver.Server{Answer: tokenserver.Always(200, answer)}).Exchange(t.Context(), "code1", "verifier1")
		if err != nil || g.Identity != "" {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

func TestIdentityInForm(t *testing.T) {
	s := &tokenserver.Server{
		Answer: tokenserver.Always(200, url.Values{"access_token": {"at"}, "id_token": {signed(t, map[string]any{"aud": "client", "email": "joe@example.com"})}}.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
	g, err := newProvider(s).Exchange(t.Context(), "code1", "verifier1")
	if err != nil || g.Identity != "joe@example.com" {
		t.Errorf("grant = %+v, %v", g, err)
	}
}
