package oauth

import (
	"crypto/rsa"
	"errors"
	"net/http"
	"testing"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/internal/testing/idp"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// Each flow gets its tokens from a server that is not written for it.
func TestFlowsAtLibrary(t *testing.T) {
	const joe, ann = "joe@example.com", "ann@example.com"
	clientKey, robotKey := rsaKey(t), rsaKey(t)
	signed := func(algorithm string, key *rsa.PrivateKey) ClientAssertion {
		a, err := NewCertificateAssertion(certificate(t, key), algorithm, "")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, tt := range []struct {
		name      string
		secret    string
		assertion ClientAssertion
		flow      Flow
		mailbox   string
		err       Kind // if mailbox is empty
	}{
		{"client credentials, secret", "client-secret", nil, ClientCredentials{}, joe, 0},
		{"client credentials, wrong secret", "another-secret", nil, ClientCredentials{}, "", Misconfigured},
		{"client credentials, RS256", "", signed("RS256", clientKey), ClientCredentials{}, joe, 0},
		{"client credentials, PS256", "", signed("PS256", clientKey), ClientCredentials{}, joe, 0},
		{"client credentials, another's key", "", signed("PS256", robotKey), ClientCredentials{}, "", Misconfigured},
		{"refresh, secret", "client-secret", nil, Consent{}, joe, 0},
		{"refresh, RS256", "", signed("RS256", clientKey), Consent{}, joe, 0},
		{"refresh, PS256", "", signed("PS256", clientKey), Consent{}, joe, 0},
		{"service account", "client-secret", nil, ServiceAccount{"robot", "key1", robotKey, ann}, ann, 0},
		{"service account, unknown mailbox", "client-secret", nil, ServiceAccount{"robot", "key1", robotKey, "eve@example.com"}, "", Misconfigured},
		{"resource owner, which the library refuses", "client-secret", nil, ResourceOwner{joe, "password"}, "", Misconfigured},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := idp.Config{
				Issuer: "http://127.0.0.1:2", ClientID: "client", RedirectURLs: []string{"http://127.0.0.1:1/callback"},
				Users: []string{joe, ann}, ClientMailbox: joe,
				ServiceAccount: "robot", ServiceAccountKey: &robotKey.PublicKey,
			}
			if tt.assertion != nil {
				c.ClientKey = &clientKey.PublicKey
			} else {
				c.ClientSecret = "client-secret"
			}
			server, err := idp.New(c)
			if err != nil {
				t.Fatal(err)
			}
			p := &Provider{
				OAuth: oauth2.Config{
					ClientID: "client", ClientSecret: tt.secret, Scopes: []string{idp.ScopeMail},
					Endpoint: oauth2.Endpoint{TokenURL: c.Issuer + idp.TokenPath},
				},
				Assertion: tt.assertion,
				Client:    &http.Client{Transport: tokenserver.Handler{Handler: server}},
			}
			_, refresh, _, err := server.Issue(joe)
			if err != nil {
				t.Fatal(err)
			}
			g, err := p.Refresh(t.Context(), tt.flow, Grant{RefreshToken: refresh})
			var e *Error
			if tt.mailbox == "" && (!errors.As(err, &e) || e.Kind != tt.err) || tt.mailbox != "" && err != nil {
				t.Fatalf("err = %v", err)
			}
			if mailbox, ok := server.User(g.AccessToken); ok != (tt.mailbox != "") || mailbox != tt.mailbox {
				t.Errorf("the token opens %q, want %q", mailbox, tt.mailbox)
			}
		})
	}
}
