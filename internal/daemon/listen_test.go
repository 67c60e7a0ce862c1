package daemon

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy"
)

// TestProxyListener checks that sessions know all settings of their listener.
func TestProxyListener(t *testing.T) {
	i := newIssuer(t)
	c := load(t, listeners)
	c.Certificates = []config.Certificate{i.issue("x", time.Hour, "x")}
	base := c.Listeners[0]
	l := base
	l.TLS, l.RequireTLS, l.MinTLS, l.ClientCAs = "auto", true, tls.VersionTLS13, i.ca.Pool()
	l.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}
	l.LocalUsers, l.ClientTokens, l.Provider = []uint32{33}, true, "one"
	base.TLS = "none"
	c.Listeners = []config.Listener{l, base}
	d, _ := start(t, c)
	to := d.listeners[0].to
	if to.TLS == nil || to.TLS.MinVersion != tls.VersionTLS13 || to.TLS.ClientAuth != tls.RequireAndVerifyClientCert ||
		to.TLSMode != proxy.AnyTLS || !to.RequireTLS || !slices.Equal(to.Proxies, l.Proxies) || !slices.Equal(to.LocalUsers, l.LocalUsers) || !to.OwnTokens || len(to.Upstreams) != 1 {
		t.Errorf("%+v", to)
	}
	if to = d.listeners[1].to; to.TLS != nil || to.TLSMode != proxy.StartTLS || len(to.Upstreams) != 2 {
		t.Errorf("%+v", to)
	}
}

// TestLocalUsersAlone checks that only local_users can connect. The daemon's own user cannot:
// its watchdog needs no connection.
func TestLocalUsersAlone(t *testing.T) {
	c := load(t, listeners)
	c.Listeners[0].LocalUsers = []uint32{33}
	c.Metrics.LocalUsers = []uint32{33}
	d, _ := start(t, c)
	if got := d.listeners[0].to.LocalUsers; !slices.Equal(got, []uint32{33}) {
		t.Errorf("users %v", got)
	}
	if err := d.healthy(t.Context()); err != nil {
		t.Errorf("unwell: %v", err)
	}
}

// TestListenersTold checks that all listeners that cannot be opened are reported, and that
// the others are closed.
func TestListenersTold(t *testing.T) {
	c := load(t, listeners)
	c.Certificates = []config.Certificate{{File: "none.pem", KeyFile: "none.key", Line: 2}}
	base := c.Listeners[0]
	users := base
	base.Address, users.LocalUsers = "unix:"+filepath.Join(t.TempDir(), "no/sock"), []uint32{33}
	c.Listeners = []config.Listener{base, users}
	_, err := New(c, slog.New(slog.DiscardHandler))
	for _, want := range []string{"xoauthd.toml:2: certificate: ", "listener 1: no directory "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %s", err, want)
		}
	}
}
