package proxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// connectLocal returns both ends of a connection to address.
func connectLocal(t *testing.T, network, address string) (client, ours net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Skip("not here:", err)
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

func TestPeerUser(t *testing.T) {
	me := uint32(os.Getuid())
	for name, address := range map[string][2]string{
		"unix socket":        {"unix", filepath.Join(t.TempDir(), "s")},
		"IPv4":               {"tcp4", "127.0.0.1:0"},
		"IPv4, by both":      {"tcp", ":0"},
		"IPv6":               {"tcp6", "[::1]:0"},
		"an address besides": {"tcp4", "127.0.0.2:0"},
	} {
		t.Run(name, func(t *testing.T) {
			client, ours := connectLocal(t, address[0], address[1])
			if uid, err := peerUser(ours); uid != me || err != nil {
				t.Errorf("user %d, %v", uid, err)
			}
			client.(interface{ CloseWrite() error }).CloseWrite()
			if uid, err := peerUser(ours); uid != me || err != nil {
				t.Errorf("half closed: user %d, %v", uid, err)
			}
			client.Close()
			if uid, err := peerUser(ours); err == nil && address[0] != "unix" {
				t.Errorf("gone: user %d", uid)
			}
		})
	}
	t.Run("pipe", func(t *testing.T) {
		c, _ := net.Pipe()
		if uid, err := peerUser(c); err == nil {
			t.Errorf("user %d", uid)
		}
	})
	t.Run("not of this machine", func(t *testing.T) {
		if uid, err := tcpPeer(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:143")); err == nil {
			t.Errorf("user %d", uid)
		}
	})
}

// word is how a table writes a word of four octets.
func word(octets ...byte) string { return fmt.Sprintf("%08X", binary.NativeEndian.Uint32(octets)) }

// table is one of sockets, as the kernel writes it: "local remote state uid inode".
func table(rows ...string) string {
	text := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for i, row := range rows {
		f := strings.Fields(row)
		text += fmt.Sprintf("%4d: %s %s %s 00000000:00000000 00:00000000 00000000 %5s        0 %s 1 0000000000000000 20 4 30 10 -1\n",
			i, f[0], f[1], f[2], f[3], f[4])
	}
	return text
}

func TestOwner(t *testing.T) {
	here, zero := word(127, 0, 0, 1), word(0, 0, 0, 0)
	mapped := zero + zero + word(0, 0, 0xff, 0xff) + here
	loopback6 := zero + zero + zero + word(0, 0, 0, 1)
	for _, test := range []struct {
		name, table     string
		local, remote   string
		uid             uint32
		found, mistaken bool
	}{
		{"the client's", table(here+":1F90 "+here+":9C40 01 0 5", here+":9C40 "+here+":1F90 01 1001 7"),
			"127.0.0.1:40000", "127.0.0.1:8080", 1001, true, false},
		{"of IPv6", table(loopback6 + ":9C40 " + loopback6 + ":1F90 01 1001 7"), "[::1]:40000", "[::1]:8080", 1001, true, false},
		{"IPv4 by a socket of IPv6", table(mapped + ":9C40 " + mapped + ":1F90 01 1001 7"), "127.0.0.1:40000", "127.0.0.1:8080", 1001, true, false},
		{"IPv4 as our socket of IPv6 has it", table(here + ":9C40 " + here + ":1F90 01 1001 7"),
			"[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:8080", 1001, true, false},
		{"one that nobody holds any more", table(here + ":9C40 " + here + ":1F90 05 0 0"), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, false},
		{"ours", table(here + ":1F90 " + here + ":9C40 01 0 5"), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, false},
		{"of another port", table(here + ":9C41 " + here + ":1F90 01 0 5"), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, false},
		{"a uid that is none", table(here + ":9C40 " + here + ":1F90 01 4294967296 5"), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, true},
		{"nothing", "", "127.0.0.1:40000", "127.0.0.1:8080", 0, false, false},
		{"a row without an end", strings.Repeat("x", 1<<20), "127.0.0.1:40000", "127.0.0.1:8080", 0, false, true},
	} {
		uid, err := owner(strings.NewReader(test.table), netip.MustParseAddrPort(test.local), netip.MustParseAddrPort(test.remote))
		if uid != test.uid && err == nil || (err == nil) != test.found || (err != nil && !errors.Is(err, errNoSocket)) != test.mistaken {
			t.Errorf("%s: user %d, %v", test.name, uid, err)
		}
	}
}

// FuzzOwner: whatever is in a table, a user comes from a row that has it.
func FuzzOwner(f *testing.F) {
	here := word(127, 0, 0, 1)
	f.Add(table(here+":1F90 "+here+":9C40 01 0 5", here+":9C40 "+here+":1F90 01 1001 7"))
	f.Add(table(here + ":9C40 " + here + ":1F90 05 0 0"))
	f.Add("0: 1 2\n\n")
	f.Fuzz(func(t *testing.T, table string) {
		uid, err := owner(strings.NewReader(table), netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:8080"))
		if err == nil && (!strings.Contains(table, strconv.Itoa(int(uid))) || !strings.Contains(table, ":9C40")) {
			t.Errorf("user %d", uid)
		}
	})
}

// Only programs of listed users get a word of the protocol, or any at all where
// they may wait for TLS.
func TestLocalUsers(t *testing.T) {
	me := uint32(os.Getuid())
	for _, test := range []struct {
		name  string
		users []uint32
		begin Begin
		hears string
		log   string
	}{
		{"listed", []uint32{me + 1, me}, StartTLS, "* OK ", "result=no_login local_user=" + userName(me) + " "},
		{"not listed", []uint32{me + 1}, StartTLS, "* BYE [NOPERM] not from here\r\n", `result=forbidden local_user=` + userName(me) + ` why="` + userName(me) + ` is not one of local_users"`},
		{"not listed, and may wait for TLS", []uint32{me + 1}, AnyTLS, "", "result=forbidden"},
	} {
		client, ours := connectLocal(t, "unix", filepath.Join(t.TempDir(), "s"))
		l := &Listener{Protocol: "imap", LocalUsers: test.users, Begin: test.begin}
		if test.begin != StartTLS {
			l.TLS, _ = serverTLS(t)
		}
		s, log := newTestServer(&scriptedAccount{})
		s.Log = debugLog(log)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.serve(t.Context(), t.Context(), ours, l)
		}()
		line, err := bufio.NewReader(client).ReadString('\n')
		if !strings.HasPrefix(line, test.hears) || (err == nil) != (test.hears != "") || err != nil && err != io.EOF {
			t.Errorf("%s: %q, %v", test.name, line, err)
		}
		client.Close()
		<-done
		if !strings.Contains(log.String(), "client=unix "+test.log) {
			t.Errorf("%s: %s", test.name, log)
		}
	}
}

func TestUserName(t *testing.T) {
	for uid, want := range map[uint32]string{0: "root", 4294967294: "4294967294"} {
		if got := userName(uid); got != want {
			t.Errorf("%d is %s", uid, got)
		}
	}
}
