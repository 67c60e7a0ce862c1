package idp

import (
	"crypto/rsa"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

func TestDiscovery(t *testing.T) {
	p := start(t, nil)
	for _, path := range []string{oidc.DiscoveryEndpoint, "/.well-known/oauth-authorization-server"} {
		_, body := p.visit(t, "http://127.0.0.1:2"+path)
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]any{
			"issuer":                                         "http://127.0.0.1:2",
			"authorization_endpoint":                         "http://127.0.0.1:2/authorize",
			"token_endpoint":                                 "http://127.0.0.1:2/token",
			"introspection_endpoint":                         "http://127.0.0.1:2/introspect",
			"device_authorization_endpoint":                  "http://127.0.0.1:2/device_authorization",
			"revocation_endpoint":                            "http://127.0.0.1:2/revoke",
			"response_types_supported":                       []any{"code"},
			"grant_types_supported":                          []any{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"},
			"code_challenge_methods_supported":               []any{"S256"},
			"authorization_response_iss_parameter_supported": true,
		} {
			if !reflect.DeepEqual(got[key], want) {
				t.Errorf("%s: %s = %v, want %v", path, key, got[key], want)
			}
		}
	}
}

func TestStyle(t *testing.T) {
	p := start(t, nil)
	r, err := p.browser.Get("http://127.0.0.1:2/login.css")
	if err != nil {
		t.Fatal(err)
	}
	if css := read(t, r); !strings.HasPrefix(r.Header.Get("Content-Type"), "text/css") || !strings.Contains(css, "main {") {
		t.Errorf("%s: %s", r.Header.Get("Content-Type"), css)
	}
}

func TestConfig(t *testing.T) {
	good := Config{Issuer: "http://localhost:1", ClientID: "c", RedirectURLs: []string{callback}, Users: []string{alice}}
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"good", func(*Config) {}, ""},
		{"issuer elsewhere", func(c *Config) { c.Issuer = "https://example.com" }, "issuer"},
		{"issuer with a path", func(c *Config) { c.Issuer += "/oauth" }, "issuer"},
		{"no client", func(c *Config) { c.ClientID = "" }, "the client needs an id"},
		{"no redirect URL", func(c *Config) { c.RedirectURLs = nil }, "the client needs an id"},
		{"a mail server without a secret", func(c *Config) { c.ServiceID = "s" }, "the mail server needs"},
		{"a mail server that is the client", func(c *Config) { c.ServiceID, c.ServiceSecret = "c", "s" }, "the mail server needs"},
		{"a client with a key and a secret", func(c *Config) { c.ClientKey, c.ClientSecret = new(rsa.PublicKey), "s" }, "not both"},
		{"a client with a mailbox of nobody", func(c *Config) { c.ClientMailbox = "eve@example.com" }, "not a user's"},
		{"a service account without a key", func(c *Config) { c.ServiceAccount = "s" }, "the service account needs"},
		{"a service account that is the client", func(c *Config) { c.ServiceAccount, c.ServiceAccountKey = "c", new(rsa.PublicKey) }, "the service account needs"},
		{"life before birth", func(c *Config) { c.AccessTokenLife = -1 }, "negative"},
		{"a user with a name", func(c *Config) { c.Users = []string{"Alice <alice@example.com>"} }, "not a mail address"},
		{"a user with a colon", func(c *Config) { c.Users = []string{`"a:b"@example.com`} }, "not a mail address"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := good
			test.change(&c)
			_, err := New(c)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("err = %v, want %q", err, test.want)
			}
		})
	}
	p := start(t, nil)
	if _, _, _, err := p.Issue("eve@example.com"); err == nil {
		t.Error("a grant for a mailbox that is not there")
	}
}
