package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/systemd"
)

func newOpener(handed ...systemd.Socket) *opener {
	return &opener{handed: handed, log: slog.New(slog.DiscardHandler)}
}

// handOver returns a socket of systemd and its address.
func handOver(t *testing.T, name, network, address string) (systemd.Socket, string) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	if ul, ok := ln.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
	}
	return systemd.Socket{Listener: ln, Name: name}, ln.Addr().String()
}

// TestOpenNamed checks that open takes all sockets of systemd with the name, and no others.
func TestOpenNamed(t *testing.T) {
	four, at4 := handOver(t, "imap", "tcp", "127.0.0.1:0")
	other, _ := handOver(t, "smtp", "tcp", "127.0.0.1:0")
	six, at6 := handOver(t, "imap", "tcp", "[::1]:0")
	path := filepath.Join(t.TempDir(), "s")
	file, _ := handOver(t, "imap", "unix", path)
	o := newOpener(four, other, six, file)
	all, err := o.open(config.Endpoint{Systemd: "imap", LocalOnly: "passwords would be seen"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ln := range all {
		got = append(got, ln.Addr().String())
	}
	if want := []string{at4, at6, path}; !slices.Equal(got, want) {
		t.Errorf("listens at %q, want %q", got, want)
	}
	if _, err := o.open(config.Endpoint{Systemd: "imap"}); err == nil || !strings.Contains(err.Error(), `no socket named "imap": run "systemctl enable --now xoauthd-imap.socket"`) {
		t.Errorf("a second endpoint with the name: %v", err)
	}
	faults := o.unclaimed()
	if len(faults) != 1 || !strings.Contains(faults[0].Error(), `systemd socket "smtp"`) {
		t.Errorf("left are %v", faults)
	}
	if _, err := other.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a socket that nobody has taken is open: %v", err)
	}
}

// TestOpenNamedIsLocal checks that open rejects sockets that other machines can reach, if the
// endpoint is for this machine only.
func TestOpenNamedIsLocal(t *testing.T) {
	for _, test := range []struct {
		address, localOnly string
		fails              bool
	}{
		{"0.0.0.0:0", "passwords would be seen; use tls", true},
		{"[::]:0", "passwords would be seen; use tls", true},
		{"0.0.0.0:0", "", false},
		{"127.0.0.2:0", "passwords would be seen; use tls", false},
	} {
		local, _ := handOver(t, "imap", "tcp", "127.0.0.1:0")
		s, at := handOver(t, "imap", "tcp", test.address)
		_, err := newOpener(local, s).open(config.Endpoint{Systemd: "imap", LocalOnly: test.localOnly})
		want := at + " can be reached from other machines, and passwords would be seen; use tls"
		if (err != nil) != test.fails || test.fails && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", test.address, err)
		}
		if _, errLocal := local.Listener.(*net.TCPListener).File(); test.fails && errLocal == nil {
			t.Errorf("%s: the other socket is left open", test.address)
		}
	}
}

// TestOpenByAddress checks that open takes the sockets of systemd at the address of an
// endpoint, and opens the missing ones.
func TestOpenByAddress(t *testing.T) {
	s, at := handOver(t, "imap", "tcp", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(at)
	all, err := newOpener(s).open(config.Endpoint{Address: "localhost:" + port})
	if err != nil || len(all) == 0 || all[0] != s.Listener {
		t.Errorf("localhost: %v, %v", all, err)
	}
	for _, ln := range all {
		ln.Close()
	}
	for address, written := range map[string]string{"127.0.0.1:0": "127.0.0.1:", "[::1]:0": "[0:0::1]:", "[::]:0": ":", "0.0.0.0:0": "0.0.0.0:"} {
		s, at := handOver(t, "imap", "tcp", address)
		_, port, _ := net.SplitHostPort(at)
		o := newOpener(s)
		all, err := o.open(config.Endpoint{Address: written + port})
		if err != nil || len(all) != 1 || all[0] != s.Listener || len(o.unclaimed()) > 0 {
			t.Errorf("%s: %v, %v", written, all, err)
		}
	}
}

// TestUnclaimed checks the remedy for a socket that no endpoint uses.
func TestUnclaimed(t *testing.T) {
	six, at := handOver(t, "imap", "tcp", "[::1]:0")
	_, port, _ := net.SplitHostPort(at)
	path := filepath.Join(t.TempDir(), "s")
	file, _ := handOver(t, "web", "unix", path)
	o := newOpener(six, file)
	all, err := o.open(config.Endpoint{Address: "127.0.0.1:" + port})
	if err != nil {
		t.Fatal(err)
	}
	all[0].Close()
	got := fmt.Sprint(errors.Join(o.unclaimed()...))
	for _, want := range []string{`write systemd = "imap" or address = "localhost:` + port + `"`, `write systemd = "web" or address = "unix:` + path + `"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\ndoes not say %s", got, want)
		}
	}
}

// TestOpenUnix checks that open takes a unix socket of systemd if it has the configured owner
// and mode, and never removes it.
func TestOpenUnix(t *testing.T) {
	for _, test := range []struct {
		name string
		mode fs.FileMode
		want config.Socket
		says string
	}{
		{"as configured", 0o660, asMade(0o660), ""},
		{"with a wider mode", 0o666, asMade(0o660), "write SocketMode=0660 in the unit"},
		{"of another user", 0o660, config.Socket{UID: 4321, GID: -1, Mode: 0o660}, "write SocketUser=4321 in the unit"},
		{"of another group", 0o660, config.Socket{UID: -1, GID: 4321, Mode: 0o660}, "write SocketGroup=4321 in the unit"},
	} {
		path := filepath.Join(t.TempDir(), "s")
		s, _ := handOver(t, "unknown", "unix", path)
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		all, err := newOpener(s).open(config.Endpoint{Address: "unix:" + path, Socket: test.want})
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
		for _, ln := range all {
			ln.Close()
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: the socket of systemd is gone: %v", test.name, err)
		}
	}
}

// TestLocalhost checks that localhost is both of its addresses, at one port.
func TestLocalhost(t *testing.T) {
	all, err := newOpener().open(config.Endpoint{Address: "localhost:0"})
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
	if _, err := newOpener().open(config.Endpoint{Address: "LOCALHOST:" + port}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is taken: %v", err)
	}
}

// TestHandedOver checks that a daemon serves the sockets of systemd, and knows their addresses.
func TestHandedOver(t *testing.T) {
	c := load(t, listeners)
	c.Listeners[0].Endpoint = config.Endpoint{Systemd: "imap"}
	s, at := handOver(t, "imap", "tcp", "127.0.0.1:0")
	d, err := New(c, slog.New(slog.DiscardHandler), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.addressOf(c.Listeners[0]); got != at {
		t.Errorf("it listens at %q, want %q", got, at)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	client, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	greeting := make([]byte, 4)
	if _, err := io.ReadFull(client, greeting); err != nil || string(greeting) != "* OK" {
		t.Errorf("%q, %v", greeting, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
