package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loadProviders loads a configuration with the given table [web], which may be empty, and
// tables of providers.
func loadProviders(t *testing.T, web string, providers ...string) (*Config, error) {
	t.Helper()
	text := "[[listener]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:1143\"\n" +
		"[account.'joe@example.com']\nprovider = \"one\"\npassword_hash = '" + hash + "'\n" + web + "\n" + strings.Join(providers, "\n")
	file := filepath.Join(t.TempDir(), "xoauthd.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(file)
}

// provider returns the table of a provider without a preset, with the keys in more.
func provider(name, more string) string {
	return fmt.Sprintf(`[provider.%q]
client_id = "id"
authorization_url = "https://%[1]s.example/authorize"
token_url = "https://%[1]s.example/token"
scopes = ["mail"]
imap = { host = "imap.example.com" }
%[2]s
`, name, more)
}

const local = "[web]\naddress = '127.0.0.1:1180'"

// TestDefaultRedirectURLs checks that a single provider has /callback, and that several
// have a path each, unless redirect_url is set.
func TestDefaultRedirectURLs(t *testing.T) {
	const device = "[provider.other]\nflow = 'device_code'\nclient_id = 'id'\n" +
		"device_authorization_url = 'https://other.example/device'\ntoken_url = 'https://other.example/token'\nscopes = ['mail']\nimap = { host = 'imap.example.com' }"
	for _, test := range []struct {
		name, web string
		providers []string
		want      map[string]string
	}{
		{"one", local, []string{provider("one", "")}, map[string]string{"one": "http://localhost:1180/callback"}},
		{"one, and one by device code", local, []string{provider("one", ""), device}, map[string]string{"one": "http://localhost:1180/callback", "other": ""}},
		{"two", local, []string{provider("one", ""), provider("two", "")},
			map[string]string{"one": "http://localhost:1180/callback/one", "two": "http://localhost:1180/callback/two"}},
		{"two, one with redirect_url", local, []string{provider("one", "redirect_url = 'http://localhost:1180/callback'"), provider("two", "")},
			map[string]string{"one": "http://localhost:1180/callback", "two": "http://localhost:1180/callback/two"}},
		{"a public URL with a path", local + "\npublic_url = 'https://mail.example.com/oauth/'", []string{provider("one", ""), provider("two", "")},
			map[string]string{"one": "https://mail.example.com/oauth/callback/one", "two": "https://mail.example.com/oauth/callback/two"}},
		{"a name that must be escaped", local, []string{provider("one", ""), "[provider.'a/b c{d}?é']\npreset = 'outlook'\nclient_id = 'id'"},
			map[string]string{"a/b c{d}?é": "http://localhost:1180/callback/a%2Fb%20c%7Bd%7D%3F%C3%A9"}},
		{"no pages", "", []string{provider("one", ""), provider("two", "redirect_url = 'http://localhost'")},
			map[string]string{"one": "", "two": "http://localhost"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := loadProviders(t, test.web, test.providers...)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range test.want {
				if got := c.Providers[name].RedirectURL; got != want {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
		})
	}
}

// TestSharedRedirectURLs checks that Load rejects two providers whose responses cannot be
// told apart.
func TestSharedRedirectURLs(t *testing.T) {
	at := func(url, more string) string { return "redirect_url = '" + url + "'\n" + more }
	const issued, required = "issuer = 'https://id.example'\n", "require_iss = true\n"
	for _, test := range []struct {
		name, one, two string
		rejected       bool
	}{
		{"the same", at("http://localhost/callback", ""), at("http://localhost/callback", ""), true},
		{"another port, which cookies ignore", at("http://localhost:1180/callback", ""), at("http://LOCALHOST:8080/callback", ""), true},
		{"another scheme", at("http://localhost/callback", ""), at("https://localhost/callback", ""), true},
		{"a trailing slash", at("http://localhost", ""), at("http://localhost/", ""), true},
		{"one is the default of the other", at("http://localhost:1180/callback/two", ""), "", true},
		{"another path", at("http://localhost/one", ""), at("http://localhost/two", ""), false},
		{"another host, which the pages do not compare", at("https://one.example.com/callback", ""), at("https://two.example.com/callback", ""), true},
		{"iss optional", at("http://localhost", issued), at("http://localhost", issued), true},
		{"iss required of one", at("http://localhost", issued), at("http://localhost", issued+required), true},
		{"iss required of both", at("http://localhost", issued+required), at("http://localhost", issued+required), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := loadProviders(t, local, provider("one", test.one), provider("two", test.two))
			if !test.rejected && err != nil || test.rejected && (err == nil || !strings.Contains(err.Error(), "[provider.one] and [provider.two] have the same path in their redirect URLs")) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestRedirectURLFaults(t *testing.T) {
	const below = local + "\npublic_url = 'https://mail.example.com/oauth'"
	for _, test := range []struct{ name, web, more, want string }{
		{"require_iss without an issuer", local, "require_iss = true", "require_iss: requires an issuer to compare iss with"},
		{"the path of a page", local, "redirect_url = 'http://localhost:1180/result/x'", "the path /result/x belongs to another page; use for example /callback"},
		{"the path of a page, below that of the public URL", below, "redirect_url = 'https://mail.example.com/oauth/authorize/x'", "use for example /oauth/callback"},
		{"the path of a page, outside the public URL", below, "redirect_url = 'https://mail.example.com/authorize/x'", ""},
	} {
		_, err := loadProviders(t, test.web, provider("one", test.more))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	for _, name := range []string{".", ".."} {
		_, err := loadProviders(t, local, provider("one", ""), "[provider.'"+name+"']\npreset = 'outlook'\nclient_id = 'id'")
		if err == nil || !strings.Contains(err.Error(), "the name cannot be part of a redirect URL") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRegistration checks the redirect URI to register, which may differ from the one in
// requests.
func TestRegistration(t *testing.T) {
	const entra = "https://login.microsoftonline.com/x/authorize"
	for _, test := range []struct{ authorization, redirect, want string }{
		{entra, "http://localhost:1180/callback", "http://localhost/callback"},
		{entra, "http://localhost:1180/callback/a%2Fb", "http://localhost/callback/a%2Fb"},
		{entra, "http://LOCALHOST:1180", "http://LOCALHOST"},
		{"https://login.microsoftonline.us/x/authorize", "http://localhost:1180/callback", "http://localhost/callback"},
		{entra, "http://localhost/callback", ""},
		{entra, "https://localhost:1180/callback", ""},
		{entra, "https://mail.example.com:8443/callback", ""},
		{entra, "http://127.0.0.1:1180/callback", ""},
		{"https://accounts.google.com/x", "http://localhost:1180/callback", ""},
		{entra, "", ""},
	} {
		p := &Provider{AuthorizationURL: test.authorization, RedirectURL: test.redirect}
		uri, note := p.Registration()
		if test.want == "" && (uri != test.redirect || note != "") || test.want != "" && (uri != test.want || note == "") {
			t.Errorf("%s at %s: %q, %q", test.redirect, test.authorization, uri, note)
		}
	}
}

// TestIssuers checks that the issuer of a preset applies only to its own endpoints.
func TestIssuers(t *testing.T) {
	const id = "0123abcd-4567-89AB-cdef-0123456789ab"
	for _, test := range []struct{ keys, want string }{
		{"preset = 'google'", "https://accounts.google.com"},
		{"preset = 'google'\nauthorization_url = 'https://id.example/authorize'", ""},
		{"preset = 'google'\nauthorization_url = 'https://id.example/authorize'\nissuer = 'https://id.example'", "https://id.example"},
		{"preset = 'microsoft'", "https://login.microsoftonline.com/{tenantid}/v2.0"},
		{"preset = 'microsoft'\ntenant = 'example.org'", "https://login.microsoftonline.com/{tenantid}/v2.0"},
		{"preset = 'microsoft'\ntenant = '" + id + "'", "https://login.microsoftonline.com/" + strings.ToLower(id) + "/v2.0"},
		{"preset = 'outlook'", "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"},
	} {
		c, err := loadProviders(t, local, "[provider.one]\nclient_id = 'id'\n"+test.keys)
		if err != nil {
			t.Errorf("%s: %v", test.keys, err)
		} else if got := c.Providers["one"].Issuer; got != test.want {
			t.Errorf("%s: issuer %s, want %s", test.keys, got, test.want)
		}
	}
}
