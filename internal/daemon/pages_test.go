package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/pagepath"
	"github.com/xoauthd/xoauthd/proxy"
)

// TestTry checks that Try logs in to all servers at the same time, once for each protocol, in
// the order of the listeners.
func TestTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, _, address string) (net.Conn, error) {
			wait := 8 * time.Second
			if address == "smtp.example.com:587" {
				wait = 5 * time.Second
			}
			time.Sleep(wait)
			return nil, errors.New("no route to " + address)
		}
		upstreams := map[string]*proxy.Upstream{
			"imap": {Provider: "one", Host: "imap.example.com", Port: 993},
			"smtp": {Provider: "one", Host: "smtp.example.com", Port: 587},
		}
		d := &Daemon{
			proxy: &proxy.Server{Dial: slow},
			config: &config.Config{Listeners: []config.Listener{
				{Protocol: "imap", Provider: "two"}, {Protocol: "imap"}, {Protocol: "smtp", Provider: "one"}, {Protocol: "imap"},
			}},
		}
		m := &manager{
			account: &account{
				grants:   auth.NewAccount("joe@example.com", &oauth.Provider{}, oauth.Consent{}, emptyStore(t), nil),
				provider: &provider{client: &oauth.Provider{}, upstreams: upstreams},
				config:   &config.Account{Name: "joe@example.com", Provider: "one"},
			},
			daemon: d,
		}
		start := time.Now()
		trials := m.Try(t.Context(), oauth.Grant{AccessToken: "token0"})
		if d := time.Since(start); d != 8*time.Second {
			t.Errorf("took %v, want that of the slowest", d)
		}
		if len(trials) != 2 || trials[0].Protocol != "IMAP" || trials[1].Protocol != "SMTP" ||
			trials[0].Took != 8*time.Second || trials[1].Took != 5*time.Second || trials[0].Err == nil || trials[1].Err == nil {
			t.Errorf("trials = %+v", trials)
		}
	})
}

// TestTryPanics checks that a panic in one trial affects neither the others nor the daemon.
func TestTryPanics(t *testing.T) {
	var log bytes.Buffer
	m := &manager{
		account: &account{
			grants: auth.NewAccount("joe@example.com", &oauth.Provider{}, oauth.Consent{}, emptyStore(t), nil),
			provider: &provider{client: &oauth.Provider{}, upstreams: map[string]*proxy.Upstream{
				"imap": {Host: "imap.example.com", Port: 993}, "smtp": {Host: "smtp.example.com", Port: 587},
			}},
			config: &config.Account{Name: "joe@example.com"},
		},
		daemon: &Daemon{
			log: slog.New(slog.NewTextHandler(&log, nil)),
			proxy: &proxy.Server{Dial: func(_ context.Context, _, address string) (net.Conn, error) {
				if address == "imap.example.com:993" {
					panic("out of range")
				}
				return nil, errors.New("no route to " + address)
			}},
			config: &config.Config{Listeners: []config.Listener{{Protocol: "imap"}, {Protocol: "smtp"}}},
		},
	}
	trials := m.Try(t.Context(), oauth.Grant{AccessToken: "token0"})
	for i, want := range []string{"internal error; see the log of xoauthd", "no route to smtp.example.com:587"} {
		if err := trials[i].Err; err == nil || !strings.Contains(err.Error(), want) || trials[i].Upstream == "" {
			t.Errorf("%+v, want %s", trials[i], want)
		}
	}
	if got := log.String(); !strings.Contains(got, `level=ERROR msg=panic account=joe@example.com protocol=imap error="out of range" stack="github.com/xoauthd/xoauthd/`) || strings.Contains(got, "token0") {
		t.Errorf("log: %s", got)
	}
}

func emptyStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir()+"/state", store.Encryption{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestPagePaths checks that the configuration rejects a redirect URL at each path of the
// pages, and accepts others.
func TestPagePaths(t *testing.T) {
	load := func(path string) error {
		file := filepath.Join(t.TempDir(), "xoauthd.toml")
		text := `[[listener]]
protocol = "imap"
address  = "127.0.0.1:1143"
[web]
address    = "127.0.0.1:1180"
public_url = "https://mail.example.com/oauth"
[provider.mine]
preset       = "outlook"
client_id    = "x"
redirect_url = "https://mail.example.com/oauth` + path + `"
[account."alice@example.com"]
provider      = "mine"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$pBRIGepKUqjL4LDI51z58w$s+AX+0UaxFBX6QsnhggUN5hqg67TepmNhl0tpWvvZ88"
`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(file)
		return err
	}
	paths := append(pagepath.Reserved(), pagepath.Account("alice@example.com"))
	for _, path := range paths {
		if err := load(path); err == nil || !strings.Contains(err.Error(), "belongs to another page") {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"", "/", "/callback", "/callback/mine", "/authorized", "/stylish"} {
		if err := load(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
