package config

import (
	"crypto/rsa"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// loadGood loads a file of testdata/good at the time now.
func loadGood(t *testing.T, name string, now time.Time) *Config {
	t.Helper()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	c, err := loadAt(filepath.Join(copyTestdata(t), "good", name), now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFlows(t *testing.T) {
	c := loadGood(t, "flows.toml", today)
	outlook := []string{"https://outlook.office365.com/.default"}
	for _, row := range []struct {
		provider  string
		flow      flow.Flow
		tokenURL  string
		scopes    []string
		consent   bool
		mechanism string
	}{
		{"device", "device_code", "https://login.example.com/token", []string{"mail"}, true, "auto"},
		{"app-only", "client_credentials", "https://login.microsoftonline.com/example.com/oauth2/v2.0/token", outlook, false, "auto"},
		{"robot", "service_account", "https://oauth2.googleapis.com/token", []string{"https://mail.google.com/"}, false, "auto"},
		{"robot-elsewhere", "service_account", "https://oauth2.googleapis.com/token", []string{"mail"}, false, "auto"},
		{"legacy", "password", "https://login.example.com/token", nil, false, "auto"},
		{"command", "command", "", nil, false, "auto"},
		{"icloud", "app_password", "", nil, false, "plain"},
	} {
		p := c.Providers[row.provider]
		if p.Flow != row.flow || p.TokenURL != row.tokenURL || !slices.Equal(p.Scopes, row.scopes) ||
			p.Flow.NeedsConsent() != row.consent || p.Mechanism != row.mechanism {
			t.Errorf("%+v\nwant %+v", p, row)
		}
		if p.AuthorizationURL+p.RevocationURL+p.RedirectURL+p.Issuer != "" {
			t.Errorf("%s has URLs that its flow does not use: %+v", row.provider, p)
		}
		if has := p.DeviceAuthorizationURL != ""; has != (row.flow == flow.DeviceCode) {
			t.Errorf("%s: device_authorization_url %q", row.provider, p.DeviceAuthorizationURL)
		}
	}
	command := c.Providers["command"]
	if want := []string{"/bin/sh", "-c", "echo ${HOME} {mailbox} {account}"}; !slices.Equal(command.TokenCommand, want) || command.TokenCommandTimeout != 20*time.Second {
		t.Errorf("command %q, %v", command.TokenCommand, command.TokenCommandTimeout)
	}
	checkServiceAccountOf(t, c.Providers["robot"])
	checkPasswordsOf(t, c)
}

func checkServiceAccountOf(t *testing.T, p *Provider) {
	t.Helper()
	want := &ServiceAccount{
		Email:    "robot@project.iam.gserviceaccount.com",
		KeyID:    "kid",
		Key:      must[*rsa.PrivateKey](t)(testKey()),
		TokenURL: "https://oauth2.googleapis.com/token",
	}
	if got := p.ServiceAccount; !got.Key.Equal(want.Key) || got.Email != want.Email || got.KeyID != want.KeyID || got.TokenURL != want.TokenURL {
		t.Errorf("%+v", got)
	}
}

func checkPasswordsOf(t *testing.T, c *Config) {
	t.Helper()
	passwords := map[string]string{}
	for name, a := range c.Accounts {
		if p := a.UpstreamPassword.Reveal(); p != "" {
			passwords[name] = p
		}
	}
	want := map[string]string{"legacy@example.com": "upstream secret", "app-password@icloud.com": "app password"}
	if !reflect.DeepEqual(passwords, want) {
		t.Errorf("passwords %q", passwords)
	}
	if hint := c.Accounts["device@example.com"].LoginHint; hint != "delegate@example.com" {
		t.Errorf("login hint %q", hint)
	}
}

func TestPresetDeviceCode(t *testing.T) {
	for name, tenant := range map[string]string{"microsoft": "example.com", "outlook": "consumers"} {
		p := preset(name, "example.com", keysOf("device_code"))
		if want := "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/devicecode"; p.DeviceAuthorizationURL != want || p.AuthorizationURL != "" {
			t.Errorf("%s: %+v", name, p)
		}
		if !slices.Contains(p.Scopes, "openid") {
			t.Errorf("%s has no scope openid: %q", name, p.Scopes)
		}
	}
}

// TestFlowKeysExist checks that every key in flows exists.
func TestFlowKeysExist(t *testing.T) {
	top := &table{file: &file{}}
	provider, account, pattern := top.sub("provider", nil), top.sub("account", nil), top.sub("*@example.com", nil)
	provider.provider(nil)
	account.account(nil)
	pattern.pattern(&Account{Name: "*@example.com"})
	known := slices.Concat(provider.seen, account.seen, pattern.seen)
	for _, f := range flows {
		for _, key := range slices.Concat(append(slices.Concat(f.required, f.accountRequired), f.optional)...) {
			if !slices.Contains(known, key) {
				t.Errorf("%s: key %q does not exist", f.flow, key)
			}
		}
	}
	for key := range keyHints {
		if !slices.ContainsFunc(flows, func(f flowKeys) bool { return f.uses(key) }) {
			t.Errorf("no flow needs %s", key)
		}
	}
}

func TestUser(t *testing.T) {
	a := &Account{Name: "a"}
	shared := &Account{Name: "a", IMAPUser: "b", SMTPUser: "c", POP3User: "d"}
	for _, row := range []struct{ protocol, own, other string }{
		{"imap", "a", "b"},
		{"smtp", "a", "c"},
		{"pop3", "a", "d"},
		{"nntp", "a", "a"},
	} {
		if own, other := a.User(row.protocol), shared.User(row.protocol); own != row.own || other != row.other {
			t.Errorf("%s: %s and %s", row.protocol, own, other)
		}
	}
}

func TestClients(t *testing.T) {
	c := loadGood(t, "clients.toml", today)
	key := must[*rsa.PrivateKey](t)(testKey())
	for _, name := range []string{"certificate", "certificate-that-expired", "certificate-for-long"} {
		p := c.Providers[name]
		if p.ClientCertificateAlgorithm != "PS256" || !key.Equal(p.ClientCertificate.PrivateKey) || p.ClientCertificate.Leaf.Subject.CommonName != "xoauthd" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if p := loadGood(t, "flows.toml", today).Providers["app-only"]; p.ClientCertificateAlgorithm != "RS256" || len(p.ClientCertificate.Certificate) != 2 || !key.Equal(p.ClientCertificate.PrivateKey) {
		t.Errorf("%+v", p)
	}
	if path := c.Providers["assertion"].ClientAssertionFile; !filepath.IsAbs(path) || filepath.Base(path) != "no.assertion" {
		t.Errorf("assertion file %s", path)
	}
	if p := c.Providers["key-of-the-unit"]; p.ClientCertificate != nil || len(c.Unavailable) != 1 || c.Unavailable[0].Line != 50 {
		t.Errorf("unavailable: %v", c.Unavailable)
	}
	for name, want := range map[string]time.Time{
		"secret":              time.Date(2026, 12, 23, 0, 0, 0, 0, time.Local),
		"secret-that-expired": time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC),
		"secret-for-long":     time.Date(2027, 1, 1, 0, 0, 0, 0, time.Local),
	} {
		if got := c.Providers[name].ClientSecretExpires; !got.Equal(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for day, warnings := range map[int]int{-400: 1, -31: 2, 400: 8} { // including one for the missing assertion file
		if got := loadGood(t, "clients.toml", today.AddDate(0, 0, day)).Warnings; len(got) != warnings {
			t.Errorf("%d days later: %v", day, Faults(got))
		}
	}
}
