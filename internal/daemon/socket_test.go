package daemon

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/xoauthd/xoauthd/config"
)

// asMade returns a socket configuration that keeps owner and group.
func asMade(mode fs.FileMode) config.Socket { return config.Socket{UID: -1, GID: -1, Mode: mode} }

// TestSocket checks that a socket has its mode, is not replaced while its daemon runs, and is
// removed at the end.
func TestSocket(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "imap.sock")
	first, err := openSocket(path, asMade(0o640))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if first.Addr().String() != path {
		t.Errorf("the address is %s", first.Addr())
	}
	if _, err := openSocket(path, asMade(0o600)); err == nil || !strings.Contains(err.Error(), path+" is in use") {
		t.Errorf("a socket that is in use: %v", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()

	if err := os.Remove(path); err != nil { // so that another daemon can use the path
		t.Fatal(err)
	}
	second, err := openSocket(path, asMade(0o600))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("who is gone has removed the socket of another: %v", err)
	}
	for range 2 {
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestSocketPath checks that the longest allowed path can be opened, also after a daemon with
// this socket was killed.
func TestSocketPath(t *testing.T) {
	const longest = 107
	folder := t.TempDir() + "/"
	path := folder + strings.Repeat("x", longest-len(folder))
	for range 2 {
		ln, err := openSocket(path, asMade(0o600))
		if err != nil {
			t.Fatal(err)
		}
		ln.(*socket).UnixListener.Close() // as if it had been killed
		if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
			t.Errorf("%v is left, %v", left, err)
		}
	}
}

// TestSocketOwner checks the configured owner.
func TestSocketOwner(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "imap.sock")
	ln, err := openSocket(path, config.Socket{UID: 1234, GID: 5678, Mode: 0o660})
	if os.Geteuid() != 0 {
		if err == nil || !strings.Contains(err.Error(), "SupplementaryGroups=") {
			t.Errorf("%v does not say what to do", err)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("%v is left, %v", left, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 1234 || s.Gid != 5678 {
		t.Errorf("it belongs to %d:%d", s.Uid, s.Gid)
	}
}

// TestSocketRefused checks that other files at the path stay, and cause an error with a remedy.
func TestSocketRefused(t *testing.T) {
	folder := t.TempDir()
	file, datagram := filepath.Join(folder, "file"), filepath.Join(folder, "datagram")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: datagram, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for path, want := range map[string]string{
		file:                             "is no socket: move it away",
		folder:                           "is no socket: move it away",
		datagram:                         "may be in use",
		filepath.Join(folder, "no/imap"): "RuntimeDirectory=xoauthd",
	} {
		if _, err := openSocket(path, asMade(0o600)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 2 {
		t.Errorf("%v is left, %v", left, err)
	}
}
