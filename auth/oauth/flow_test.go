package oauth

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

func TestFlowRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		flow Flow
		want url.Values
	}{
		"client credentials": {ClientCredentials{}, url.Values{
			"grant_type": {"client_credentials"}, "scope": {"mail"},
			"client_id": {"client"}, "client_secret": {"client-secret"},
		}},
		"resource owner": {ResourceOwner{"joe@example.com", "pass word"}, url.Values{
			"grant_type": {"password"}, "scope": {"mail"}, "username": {"joe@example.com"}, "password": {"pass word"},
			"client_id": {"client"}, "client_secret": {"client-secret"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &tokenserver.Server{Answer: tokenserver.Numbered}
			g, err := newProvider(s).Refresh(t.Context(), tt.flow, Grant{})
			if g.AccessToken != "token1" || g.RefreshToken != "" || !g.Obtained.IsZero() || err != nil {
				t.Errorf("grant = %+v, %v", g, err)
			}
			if got := s.Requests[0].Encode(); got != tt.want.Encode() {
				t.Errorf("request %s, want %s", got, tt.want.Encode())
			}
		})
	}
}

// An endpoint may quote what it was sent.
func TestFlowErrorsHoldNoSecret(t *testing.T) {
	key := rsaKey(t)
	for name, f := range map[string]Flow{
		"client credentials": ClientCredentials{},
		"resource owner":     ResourceOwner{"joe", "correct horse"},
		"service account":    ServiceAccount{"robot@example.com", "key1", key, "joe@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []string
			s := &tokenserver.Server{Answer: func(_ int, form url.Values) (int, string) {
				for _, k := range []string{"client_secret", "password", "assertion"} {
					if v := form.Get(k); v != "" {
						sent = append(sent, v)
					}
				}
				return 400, fmt.Sprintf(`{"error":"invalid_grant","error_description":%q}`, "no: "+strings.Join(sent, " "))
			}}
			_, err := newProvider(s).Refresh(t.Context(), f, Grant{})
			if err == nil || len(sent) == 0 {
				t.Fatalf("err = %v; %d secrets", err, len(sent))
			}
			for _, secret := range sent {
				if strings.Contains(err.Error(), secret[:8]) {
					t.Errorf("err = %v", err)
				}
			}
		})
	}
}
