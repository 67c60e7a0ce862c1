package peercred

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// connectLocal returns both ends of a connection to address.
func connectLocal(t testing.TB, network, address string) (client, ours net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Skip("not available:", err)
	}
	defer ln.Close()
	if client, err = net.Dial(network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); ours.Close() })
	return client, ours
}

func TestUID(t *testing.T) {
	me := uint32(os.Getuid())
	for name, address := range map[string][2]string{
		"unix socket":                  {"unix", filepath.Join(t.TempDir(), "s")},
		"IPv4":                         {"tcp4", "127.0.0.1:0"},
		"IPv4, on a dual-stack socket": {"tcp", ":0"},
		"IPv6":                         {"tcp6", "[::1]:0"},
		"another loopback address":     {"tcp4", "127.0.0.2:0"},
	} {
		t.Run(name, func(t *testing.T) {
			var f Finder
			client, ours := connectLocal(t, address[0], address[1])
			if uid, err := f.UID(ours); uid != me || err != nil {
				t.Errorf("user %d, %v", uid, err)
			}
			if s := f.Source(ours); s != (Source{uid: me, known: true}) {
				t.Errorf("source %+v", s)
			}
			client.(interface{ CloseWrite() error }).CloseWrite()
			if uid, err := f.UID(ours); uid != me || err != nil {
				t.Errorf("half closed: user %d, %v", uid, err)
			}
			if tcp, ok := ours.(*net.TCPConn); ok {
				from, to := unmap(tcp.RemoteAddr().(*net.TCPAddr).AddrPort()), unmap(tcp.LocalAddr().(*net.TCPAddr).AddrPort())
				if uid, err := f.finder.tables.find(from, to); uid != me || err != nil {
					t.Errorf("table: user %d, %v", uid, err)
				}
				if uid, err := sockDiag(from, to); uid != me || err != nil {
					t.Errorf("sock_diag: user %d, %v", uid, err)
				}
			}
			client.Close()
			if uid, err := f.UID(ours); err == nil && address[0] != "unix" {
				t.Errorf("closed: user %d", uid)
			}
		})
	}
	t.Run("wrapped", func(t *testing.T) {
		_, ours := connectLocal(t, "tcp4", "127.0.0.1:0")
		if uid, err := new(Finder).UID(tls.Server(ours, nil)); uid != me || err != nil {
			t.Errorf("user %d, %v", uid, err)
		}
	})
	t.Run("pipe", func(t *testing.T) {
		c, _ := net.Pipe()
		if uid, err := new(Finder).UID(c); err == nil {
			t.Errorf("user %d", uid)
		}
	})
	t.Run("another machine", func(t *testing.T) {
		if uid, err := new(finder).tcpPeer(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:143")); err == nil {
			t.Errorf("user %d", uid)
		}
	})
	t.Run("the machine's own address", func(t *testing.T) {
		if _, err := new(finder).tcpPeer(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:143")); !errors.Is(err, errNoSocket) {
			t.Errorf("not looked up: %v", err)
		}
	})
}

func TestParseDiag(t *testing.T) {
	found := func(state byte, uid, inode uint32) []byte {
		a := make([]byte, responseLen)
		binary.NativeEndian.PutUint16(a[4:], unix.SOCK_DIAG_BY_FAMILY)
		a[stateAt] = state
		binary.NativeEndian.PutUint32(a[uidAt:], uid)
		binary.NativeEndian.PutUint32(a[inodeAt:], inode)
		return a
	}
	failed := func(errno unix.Errno) []byte {
		a := make([]byte, headerLen+4)
		binary.NativeEndian.PutUint16(a[4:], unix.NLMSG_ERROR)
		binary.NativeEndian.PutUint32(a[headerLen:], uint32(-int32(errno)))
		return a
	}
	for _, test := range []struct {
		name   string
		answer []byte
		uid    uint32
		want   error
	}{
		{"connected", found(1, 1001, 7), 1001, nil},
		{"a listening socket", found(stateListen, 1001, 7), 0, errNoSocket},
		{"a socket without an inode", found(5, 0, 0), 0, errNoSocket},
		{"not found", failed(unix.ENOENT), 0, errNoSocket},
		{"not permitted", failed(unix.EPERM), 0, unix.EPERM},
	} {
		if uid, err := parseDiag(test.answer); uid != test.uid || !errors.Is(err, test.want) {
			t.Errorf("%s: user %d, %v", test.name, uid, err)
		}
	}
	for _, short := range [][]byte{nil, found(1, 1001, 7)[:responseLen-1], make([]byte, responseLen)} {
		if uid, err := parseDiag(short); err == nil {
			t.Errorf("%d bytes: user %d", len(short), uid)
		}
	}
}

func BenchmarkUID(b *testing.B) {
	_, ours := connectLocal(b, "tcp4", "127.0.0.1:0")
	var f Finder
	for b.Loop() {
		if _, err := f.UID(ours); err != nil {
			b.Fatal(err)
		}
	}
}

func TestUserName(t *testing.T) {
	for uid, want := range map[uint32]string{0: "root", 4294967294: "4294967294"} {
		if got := UserName(uid); got != want {
			t.Errorf("%d is %s", uid, got)
		}
	}
}
