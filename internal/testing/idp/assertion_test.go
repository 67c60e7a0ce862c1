package idp

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// Only a client that proves itself gets a token without a person, and only if
// it has a mailbox.
func TestClientCredentials(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*Config)
		form    url.Values
		mailbox string
		want    string // the error, if mailbox is empty
	}{
		{"by its secret", nil, url.Values{}, alice, ""},
		{"with a wrong secret", nil, url.Values{"client_secret": {"wrong"}}, "", "invalid_client"},
		{"with no secret", nil, url.Values{"client_secret": {""}}, "", "invalid_client"},
		{"with an assertion of no use", nil, url.Values{"client_assertion": {"e30.e30.sig"}}, "", "invalid_client"},
		{"of a public client", func(c *Config) { c.ClientSecret = "" }, url.Values{"client_secret": {""}}, "", "invalid_client"},
		{"of another client", nil, url.Values{"client_id": {"another"}}, "", "invalid_client"},
		{"for another scope", nil, url.Values{"scope": {"mail openid"}}, "", "invalid_scope"},
		{"without a mailbox", func(c *Config) { c.ClientMailbox = "" }, url.Values{}, "", "unauthorized_client"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, func(c *Config) {
				c.ClientMailbox = alice
				if test.change != nil {
					test.change(c)
				}
			})
			form := url.Values{
				"grant_type": {"client_credentials"}, "scope": {"mail"},
				"client_id": {"xoauthd"}, "client_secret": {"client-secret"},
			}
			for k, v := range test.form {
				form[k] = v
			}
			r, err := p.browser.PostForm(p.Server.config.Issuer+TokenPath, form)
			if err != nil {
				t.Fatal(err)
			}
			var answer struct {
				AccessToken  string `json:"access_token"`
				RefreshToken string `json:"refresh_token"`
				Error        string `json:"error"`
			}
			if err := json.NewDecoder(strings.NewReader(read(t, r))).Decode(&answer); err != nil {
				t.Fatal(err)
			}
			if mailbox, _ := p.User(answer.AccessToken); mailbox != test.mailbox || answer.Error != test.want || answer.RefreshToken != "" {
				t.Errorf("the token opens %q; %+v", mailbox, answer)
			}
		})
	}
}
