package config

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain unsets the proxy variables of the machine, which could cause warnings.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"} {
		os.Unsetenv(name)
		os.Unsetenv(strings.ToLower(name))
	}
	m.Run()
}

func load(t *testing.T, name string) *Config {
	t.Helper()
	c, err := loadAt(name, today)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAllKeys(t *testing.T) {
	dir := copyTestdata(t)
	c := load(t, filepath.Join(dir, "good", "full.toml"))
	own := c.Providers["own"]
	if own.RootCAs == nil {
		t.Error("ca_file gives no certificates")
	}
	own.RootCAs = nil
	want := &Provider{
		Name:                "own",
		ClientID:            "id",
		Flow:                "authorization_code",
		ClientSecret:        "file secret",
		AuthorizationURL:    "http://localhost:8080/authorize",
		TokenURL:            "http://[::1]:8080/token?tenant=1",
		RevocationURL:       "http://127.0.0.1:8080/revoke",
		Revocation:          "grant",
		RedirectURL:         "https://mail.example.com/callback",
		Issuer:              "https://login.example.com",
		RequireIss:          true,
		IssDecided:          true,
		Scopes:              []string{"mail", "offline_access"},
		AuthorizationParams: map[string]string{"prompt": "consent"},
		AuthStyle:           "header",

		ClientCertificateAlgorithm: "PS256",
		Mechanism:                  "oauthbearer",
		CAFile:                     filepath.Join(dir, "ca.pem"),
		IMAP:                       &Upstream{Host: "::1", Port: 993, TLS: "implicit", Sessions: 20},
		SMTP:                       &Upstream{Host: "smtp.example.com", Port: 2525, TLS: "starttls"},
		POP3:                       &Upstream{Host: "pop.example.com", Port: 110, TLS: "starttls"},
	}
	if !reflect.DeepEqual(own, want) {
		t.Errorf("provider:\n%+v\nwant:\n%+v", own, want)
	}
	if s := own.ClientSecret.Reveal(); s != "file secret" {
		t.Errorf("secret %q", s)
	}
	if w := c.Warnings; len(w) != 1 || w[0].Line != 96 {
		t.Error(Faults(w))
	}
	c.Providers, c.Warnings = nil, nil
	if c.Listeners[2].ClientCAs == nil {
		t.Error("client_ca_file gives no certificates")
	}
	c.Listeners[2].ClientCAs = nil
	rest := &Config{
		File:           filepath.Join(dir, "good", "full.toml"),
		Fingerprint:    c.Fingerprint,
		StateDirectory: filepath.Join(dir, "good", "state"),
		Store:          Store{Keys: Secret(testdata(t, "store.key"))},
		Log:            Log{"debug", "json"},
		Limits:         Limits{10, 5, 3, 4, time.Second, 5 * time.Second, 1500 * time.Millisecond, 24 * time.Hour, 0},
		Web:            &Web{Endpoint{Address: "localhost:1180"}, "https://mail.example.com/oauth"},
		Metrics:        &Metrics{Endpoint{Address: ":9180"}, []string{"metrics.example.com"}},
		Certificates:   []Certificate{{filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"), 104}},
		Listeners: []Listener{
			{Protocol: "imap", Endpoint: Endpoint{Address: "127.0.0.2:1143"}, Provider: "own", Line: 28, TLS: "none", MinTLS: tls.VersionTLS12},
			{Protocol: "smtp", Endpoint: Endpoint{Address: "[::1]:1143"}, Line: 33, TLS: "none", MinTLS: tls.VersionTLS12},
			{
				Protocol: "pop3", Endpoint: Endpoint{Address: "0.0.0.0:1110"}, Provider: "own", Line: 108,
				TLS: "auto", RequireTLS: true, MinTLS: tls.VersionTLS13,
				Proxies:      []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32")},
				ClientTokens: true,
			}, {
				Protocol: "imap", Line: 119, TLS: "none", MinTLS: tls.VersionTLS12,
				Endpoint: Endpoint{Address: "unix:/run/imap.sock", Socket: Socket{0, 1002, 0o600}, LocalUsers: []uint32{0, 1001}},
			}, {
				Protocol: "smtp", Line: 127, TLS: "none", MinTLS: tls.VersionTLS12,
				Endpoint: Endpoint{Systemd: "smtp", LocalUsers: []uint32{0}, LocalOnly: "xoauthd cannot identify their users; use 127.0.0.1, [::1], localhost or unix:PATH, or remove this line"},
			},
		},
		Accounts: map[string]*Account{
			"alice@example.com": {
				Name: "alice@example.com", Provider: "own", PasswordHash: hash, Line: 78,
				IMAPUser: "shared@example.com", SMTPUser: "delegate@example.com", POP3User: "pop", LoginHint: "delegate@example.com",
				SharedMailboxes: []string{"info@example.com"},
				Logins: []Login{{
					Label: "scanner", User: "scanner1", PasswordHash: hash, Line: 88,
					Protocols: []string{"smtp"},
					Networks:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
					Ends:      time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC),
				}},
			},
			`bob"the"builder`: {Name: `bob"the"builder`, Provider: "outlook", PasswordHash: hash, Enabled: true, Line: 96, LoginHint: `bob"the"builder`},
		},
	}
	if !reflect.DeepEqual(c, rest) {
		t.Errorf("got:\n%+v\nwant:\n%+v", c, rest)
	}
}

// hash is the password hash in the files of testdata.
const hash = "$argon2id$v=19$m=19456,t=2,p=1$pBRIGepKUqjL4LDI51z58w$s+AX+0UaxFBX6QsnhggUN5hqg67TepmNhl0tpWvvZ88"

func TestPresets(t *testing.T) {
	c := load(t, filepath.Join(copyTestdata(t), "good", "full.toml"))
	for name, want := range map[string]*Provider{
		"changed": {
			Preset:              "google",
			Title:               "Google",
			ClientSecret:        "inline secret",
			AuthorizationURL:    "https://accounts.google.com/o/oauth2/v2/auth",
			TokenURL:            "https://token.example.com/",
			RevocationURL:       "https://oauth2.googleapis.com/revoke",
			Issuer:              "https://accounts.google.com",
			Scopes:              []string{"https://mail.google.com/", "openid", "email"},
			AuthorizationParams: map[string]string{"prompt": "select_account"},
			IMAP:                &Upstream{Host: "imap.example.com", Port: 993, TLS: "implicit", Sessions: 15},
			SMTP:                &Upstream{Host: "smtp.gmail.com", Port: 587, TLS: "starttls"},
			POP3:                &Upstream{Host: "pop.gmail.com", Port: 995, TLS: "implicit"},
		},
		"microsoft": {
			Preset:            "microsoft",
			Title:             "Microsoft 365",
			AuthorizationURL:  "https://login.microsoftonline.com/example.com/oauth2/v2.0/authorize",
			TokenURL:          "https://login.microsoftonline.com/example.com/oauth2/v2.0/token",
			Issuer:            "https://login.microsoftonline.com/{tenantid}/v2.0",
			SMTP:              &Upstream{Host: "smtp.office365.com", Port: 587, TLS: "starttls", Sessions: 3},
			MessagesPerMinute: 30,
		},
		"outlook": {
			Preset:           "outlook",
			Title:            "Outlook.com",
			AuthorizationURL: "https://login.microsoftonline.com/consumers/oauth2/v2.0/authorize",
			TokenURL:         "https://login.microsoftonline.com/consumers/oauth2/v2.0/token",
			Issuer:           "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
			SMTP:             &Upstream{Host: "smtp-mail.outlook.com", Port: 587, TLS: "starttls"},
		},
	} {
		want.Name = name
		want.ClientID = "id"
		want.RedirectURL = "https://mail.example.com/oauth/callback/" + name
		want.Flow = "authorization_code"
		want.Revocation = "all"
		want.AuthStyle = "params"
		want.ClientCertificateAlgorithm = "PS256"
		want.Mechanism = "auto"
		if want.Preset != "google" {
			want.Scopes = []string{
				"https://outlook.office.com/IMAP.AccessAsUser.All",
				"https://outlook.office.com/SMTP.Send",
				"offline_access",
				"openid", "profile", "email",
			}
			want.AuthorizationParams = map[string]string{}
			want.IMAP = &Upstream{Host: "outlook.office365.com", Port: 993, TLS: "implicit"}
			want.POP3 = &Upstream{Host: "outlook.office365.com", Port: 995, TLS: "implicit"}
		}
		if got := c.Providers[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v\nwant:\n%+v", name, got, want)
		}
	}
	if names := Presets(); !slices.IsSorted(names) || len(names) != 4 {
		t.Errorf("presets %q", names)
	}
	for _, name := range Presets() {
		if preset(name, "organizations", keysOf("command")) == nil {
			t.Errorf("no preset %s", name)
		}
	}
}

func TestUpstreamAddress(t *testing.T) {
	p := &Provider{IMAP: &Upstream{Host: "::1", Port: 993}, SMTP: &Upstream{Host: "smtp.example.com", Port: 465}}
	if a := p.Upstream("imap").Address(); a != "[::1]:993" {
		t.Error(a)
	}
	if a := p.Upstream("smtp").Address(); a != "smtp.example.com:465" {
		t.Error(a)
	}
	for _, protocol := range []string{"pop3", "nntp"} {
		if u := p.Upstream(protocol); u != nil {
			t.Error(u)
		}
	}
}

func TestStateDirectory(t *testing.T) {
	name := filepath.Join(copyTestdata(t), "good", "minimal.toml")
	for _, row := range []struct{ env, want string }{
		{"", "/var/lib/xoauthd"},
		{"/var/lib/one", "/var/lib/one"},
		{"/var/lib/one:/var/lib/two", "/var/lib/one"},
	} {
		t.Setenv("STATE_DIRECTORY", row.env)
		if got := load(t, name).StateDirectory; got != row.want {
			t.Errorf("%q: %s, want %s", row.env, got, row.want)
		}
	}
}

// minimal writes a copy of good/minimal.toml with lines added to its provider, and returns
// its name and its directory.
func minimal(t *testing.T, lines string, mode fs.FileMode) (name, dir string) {
	text, err := os.ReadFile("testdata/good/minimal.toml")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	name = filepath.Join(dir, "xoauthd.toml")
	changed := strings.Replace(string(text), "client_id", lines+"\nclient_id", 1)
	if err := os.WriteFile(name, []byte(changed), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // independent of the umask
		t.Fatal(err)
	}
	return name, dir
}

func TestUnreadableFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "xoauthd.toml")
	_, err := Load(name)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "example.toml") {
		t.Error(err)
	}
	if _, err := Load(filepath.Dir(name)); err == nil {
		t.Error("Load read a directory")
	}
}

func TestFaultsAreErrors(t *testing.T) {
	_, err := Load("testdata/bad/empty.toml")
	var fault Fault
	if !errors.As(err, &fault) || fault.File != "testdata/bad/empty.toml" || fault.Line != 0 {
		t.Errorf("%#v", fault)
	}
}

// TestFingerprint checks that a change of any named file changes the fingerprint.
func TestFingerprint(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir := copyTestdata(t)
	for name, others := range map[string][]string{
		"full.toml":     {"good/full.toml", "client.secret", "ca.pem", "store.key"},
		"flows.toml":    {"good/flows.toml", "chain.pem", "pkcs1.key", "service.json", "upstream.secret"},
		"patterns.toml": {"good/patterns.toml", "staff.passwords"},
		"clients.toml":  {"good/clients.toml", "both.pem"},
		"proxies.toml":  {"good/proxies.toml", "proxy.secret"},
	} {
		name = filepath.Join(dir, "good", name)
		before := load(t, name).Fingerprint
		if again := load(t, name).Fingerprint; len(before) != 16 || again != before {
			t.Errorf("%s: %q, then %q", name, before, again)
		}
		for _, other := range others {
			other = filepath.Join(dir, other)
			text, err := os.ReadFile(other)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(other, append(text, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
			after := load(t, name).Fingerprint
			if after == before {
				t.Errorf("%s has changed, but not the fingerprint of %s", other, name)
			}
			before = after
		}
	}
}

// TestFingerprintWithoutCredentials checks that a command without the credentials of the
// unit computes the fingerprint of the daemon.
func TestFingerprintWithoutCredentials(t *testing.T) {
	name, dir := minimal(t, `client_secret_credential = "google"`, 0o600)
	if err := os.WriteFile(filepath.Join(dir, "google"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	daemon := load(t, name).Fingerprint
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if command := load(t, name).Fingerprint; command != daemon {
		t.Errorf("%s, and %s for the daemon", command, daemon)
	}
}
