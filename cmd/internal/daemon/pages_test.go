package daemon

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy"
)

// TestTry: all servers are tried at once, each protocol once, in the order of
// the listeners.
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
		p := &page{
			account: &account{
				Account:  auth.NewAccount("joe@example.com", &auth.Provider{}, nil, emptyStore(t), nil),
				provider: &provider{Provider: &auth.Provider{}, upstreams: upstreams},
				config:   &config.Account{Name: "joe@example.com"},
			},
			daemon: d,
			late:   t.Context(),
		}
		start := time.Now()
		trials := p.Try(t.Context(), auth.Grant{AccessToken: "token0"})
		if d := time.Since(start); d != 8*time.Second {
			t.Errorf("took %v, want that of the slowest", d)
		}
		if len(trials) != 2 || trials[0].Protocol != "IMAP" || trials[1].Protocol != "SMTP" ||
			trials[0].Took != 8*time.Second || trials[1].Took != 5*time.Second || trials[0].Err == nil || trials[1].Err == nil {
			t.Errorf("trials = %+v", trials)
		}
	})
}

func emptyStore(t *testing.T) *auth.Store {
	t.Helper()
	s, err := auth.OpenStore(t.TempDir()+"/state", auth.Encryption{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
