package oauth

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

const graphScope = "https://graph.microsoft.com/Mail.Send"

func providerWithGraph(s *tokenserver.Server) *Provider {
	p := newProvider(s)
	p.OAuth.Scopes = []string{"offline_access", "https://outlook.office.com/SMTP.Send"}
	p.Resources = map[Resource][]string{Graph: {graphScope, "offline_access"}}
	return p
}

// TestScopesOfRequests checks that authorization requests name the scopes of all resources, and
// token requests those of one.
func TestScopesOfRequests(t *testing.T) {
	const all, mail, graph = "offline_access https://outlook.office.com/SMTP.Send " + graphScope, "offline_access https://outlook.office.com/SMTP.Send", graphScope + " offline_access"
	u, err := url.Parse(providerWithGraph(nil).AuthCodeURL("state1", "verifier1", ""))
	if err != nil || u.Query().Get("scope") != all {
		t.Errorf("authorization request: %q, %v", u.Query().Get("scope"), err)
	}
	for name, tt := range map[string]struct {
		call func(p *Provider) error
		want string
	}{
		"code": {func(p *Provider) error {
			g, err := p.Exchange(t.Context(), "code1", "verifier1")
			if g.Requested != all {
				t.Errorf("requested = %q", g.Requested)
			}
			return err
		}, mail},
		"device": {func(p *Provider) error {
			p.OAuth.Endpoint.DeviceAuthURL = "https://example.com/device"
			_, err := p.DeviceAuth(t.Context())
			return err
		}, all},
		"refresh for mail":   {refreshFor(t, Consent{}, Mail), mail},
		"refresh for graph":  {refreshFor(t, Consent{}, Graph), graph},
		"client for mail":    {refreshFor(t, ClientCredentials{}, Mail), mail},
		"client for graph":   {refreshFor(t, ClientCredentials{}, Graph), graph},
		"password for graph": {refreshFor(t, ResourceOwner{User: "joe", Password: "secret"}, Graph), graph},
	} {
		s := &tokenserver.Server{Answer: tokenserver.Always(200, `{"access_token":"at","device_code":"d","user_code":"u","verification_uri":"https://example.com"}`)}
		if err := tt.call(providerWithGraph(s)); err != nil || s.Requests[0].Get("scope") != tt.want {
			t.Errorf("%s: scope %q, %v; want %q", name, s.Requests[0].Get("scope"), err, tt.want)
		}
	}
}

func refreshFor(t *testing.T, f Flow, r Resource) func(*Provider) error {
	return func(p *Provider) error {
		g, err := p.RefreshFor(t.Context(), f, granted(0), r)
		if g.Token(r).AccessToken != "at" || r != Mail && g.AccessToken != "token0" {
			t.Errorf("%T for %s: %+v", f, r, g)
		}
		return err
	}
}

// TestServiceAccountScopes checks that an assertion has the scopes of one resource.
func TestServiceAccountScopes(t *testing.T) {
	key := rsaKey(t)
	for r, want := range map[Resource]string{Mail: "https://mail.google.com/", Gmail: "https://www.googleapis.com/auth/gmail.send"} {
		s := &tokenserver.Server{Answer: tokenserver.Numbered}
		p := newProvider(s)
		p.OAuth.Scopes = []string{"https://mail.google.com/"}
		p.Resources = map[Resource][]string{Gmail: {"https://www.googleapis.com/auth/gmail.send"}}
		if _, err := p.RefreshFor(t.Context(), ServiceAccount{"robot@example.com", "key1", key, "joe@example.com"}, Grant{}, r); err != nil {
			t.Fatal(err)
		}
		if _, claims := verified(t, s.Requests[0].Get("assertion"), jose.RS256, key); claims["scope"] != want {
			t.Errorf("%s: claims %v", r, claims)
		}
	}
}

// TestCommandIsForMail checks that a command is not run for another resource: it does not know
// which token to print.
func TestCommandIsForMail(t *testing.T) {
	_, err := newProvider(nil).RefreshFor(t.Context(), Command{Args: []string{"/bin/echo", "token1"}}, Grant{}, Graph)
	var e *Error
	if !errors.As(err, &e) || e.Kind != Misconfigured || !strings.Contains(err.Error(), "not for graph") {
		t.Errorf("err = %v", err)
	}
}

func TestMissingScopes(t *testing.T) {
	for _, tt := range []struct{ asked, granted, want string }{
		{graphScope, graphScope, ""},
		{graphScope, "openid Mail.Send User.Read", ""},
		{"https://graph.microsoft.us/Mail.Send", "https://graph.microsoft.us/mail.send", ""},
		{graphScope + " offline_access openid", graphScope, ""},
		{"https://graph.microsoft.com/.default", "https://graph.microsoft.com/Mail.Send", ""},
		{"https://mail.google.com/ gmail.send", "https://mail.google.com/", "gmail.send"},
		{graphScope, "User.Read", graphScope},
		{graphScope, "", graphScope},
	} {
		if got := strings.Join(missingScopes(strings.Fields(tt.asked), strings.Fields(tt.granted)), " "); got != tt.want {
			t.Errorf("asked %q, granted %q: missing %q, want %q", tt.asked, tt.granted, got, tt.want)
		}
	}
}

// TestGrantFormat checks that a grant of an earlier version is read as before, and that an
// earlier version finds the mail tokens where it expects them.
func TestGrantFormat(t *testing.T) {
	const old = `{"access_token":"at","refresh_token":"rt","expiry":"2026-01-02T03:04:05Z","obtained":"2026-01-01T00:00:00Z","scope":"mail"}`
	var g Grant
	if err := json.Unmarshal([]byte(old), &g); err != nil {
		t.Fatal(err)
	}
	if g.Token(Mail).AccessToken != "at" || g.RefreshToken != "rt" || g.Tokens != nil || g.Token(Graph) != (Token{}) {
		t.Errorf("an old grant: %+v", g)
	}
	if text, err := json.Marshal(g); err != nil || string(text) != old {
		t.Errorf("written as %s, %v", text, err)
	}
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	next := g.withToken(Graph, Token{"graph1", now.Add(time.Hour), now})
	if len(g.Tokens) != 0 {
		t.Error("the grant before has changed")
	}
	if other := next.withToken(Graph, Token{"graph2", now, now}); next.Token(Graph).AccessToken != "graph1" || other.Token(Graph).AccessToken != "graph2" {
		t.Errorf("the grant before has become %+v", next)
	}
	text, err := json.Marshal(next)
	var again Grant
	if err != nil || json.Unmarshal(text, &again) != nil || !reflect.DeepEqual(again, next) {
		t.Errorf("%+v is read as %+v, %v", next, again, err)
	}
}
