package daemon

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy"
)

// TestLocalhost is both of its addresses, at one port.
func TestLocalhost(t *testing.T) {
	all, err := openAll("localhost:0", config.Socket{})
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]bool{}
	for _, ln := range all {
		defer ln.Close()
		host, port, _ := net.SplitHostPort(ln.Addr().String())
		if ports[port] = true; !slices.Contains([]string{"127.0.0.1", "::1"}, host) {
			t.Errorf("listens at %s", ln.Addr())
		}
	}
	if ln, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Logf("this machine has no IPv6: %v", err)
	} else if ln.Close(); len(all) != 2 {
		t.Errorf("%d listeners", len(all))
	}
	if len(ports) != 1 {
		t.Errorf("listens at ports %v", ports)
	}
	_, port, _ := net.SplitHostPort(all[0].Addr().String())
	if _, err := openAll("LOCALHOST:"+port, config.Socket{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is taken: %v", err)
	}
}

func TestUsersAreTold(t *testing.T) {
	const private = "         0          0          1\n       990        990          1\n"
	const container = "0 100000 65536\n"
	for _, test := range []struct {
		name, uidMap string
		users        []uint32
		told         bool
	}{
		{"the machine's own", "         0          0 4294967295\n", []uint32{0, 1000, 65534}, true},
		{"no namespaces", "", []uint32{1000}, true},
		{"PrivateUsers=yes", private, []uint32{1000}, false},
		{"PrivateUsers=yes, but the daemon's own", private, []uint32{0, 990}, true},
		{"a container", container, []uint32{1000, 33}, true},
		{"beyond a container", container, []uint32{1000, 70000}, false},
		{"nobody of a container, as whom all beyond look", container, []uint32{65534}, false},
		{"nonsense", "x", []uint32{0}, false},
	} {
		if err := usersAreTold(test.uidMap, test.users); (err == nil) != test.told {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestCheckUsers: a Linux without namespaces of users tells them from each other;
// where it cannot be known, the listener must not open.
func TestCheckUsers(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		known bool
	}{
		{"the machine's own", map[string]string{"status": "", "uid_map": "0 0 4294967295\n"}, true},
		{"PrivateUsers=yes", map[string]string{"status": "", "uid_map": "0 0 1\n"}, false},
		{"no namespaces", map[string]string{"status": ""}, true},
		{"no Linux", nil, false},
	} {
		proc := t.TempDir()
		if err := os.Mkdir(filepath.Join(proc, "self"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range test.files {
			if err := os.WriteFile(filepath.Join(proc, "self", name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkUsers(proc, []uint32{1000}); (err == nil) != test.known {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestBehind: sessions are told all that the configuration says of their listener.
func TestBehind(t *testing.T) {
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
		to.Begin != proxy.AnyTLS || !to.RequireTLS || !slices.Equal(to.Proxies, l.Proxies) || !slices.Equal(to.LocalUsers, l.LocalUsers) || !to.OwnTokens || len(to.Upstreams) != 1 {
		t.Errorf("%+v", to)
	}
	if to = d.listeners[1].to; to.TLS != nil || to.Begin != proxy.StartTLS || len(to.Upstreams) != 2 {
		t.Errorf("%+v", to)
	}
}

// TestLocalUsersAlone checks that nobody comes in but local_users: not even the
// daemon's own user, whose watchdog needs no connection.
func TestLocalUsersAlone(t *testing.T) {
	c := load(t, listeners)
	c.Listeners[0].LocalUsers = []uint32{33}
	d, _ := start(t, c)
	if got := d.listeners[0].to.LocalUsers; !slices.Equal(got, []uint32{33}) {
		t.Errorf("users %v", got)
	}
	if err := d.healthy(t.Context()); err != nil {
		t.Errorf("unwell: %v", err)
	}
}

// TestListenersTold: every listener that cannot be opened is told, and none is
// left open.
func TestListenersTold(t *testing.T) {
	c := load(t, listeners)
	c.Certificates = []config.Certificate{{File: "none.pem", KeyFile: "none.key", Line: 2}}
	base := c.Listeners[0]
	users := base
	base.Address, users.LocalUsers = "unix:"+filepath.Join(t.TempDir(), "no/sock"), []uint32{33}
	c.Listeners = []config.Listener{base, users}
	_, err := New(c, slog.New(slog.DiscardHandler))
	for _, want := range []string{"xoauthd.toml:2: certificate: ", "listener 1: there is no folder "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %s", err, want)
		}
	}
}
