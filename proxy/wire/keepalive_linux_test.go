package wire

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The system detects a peer that disappears: by keep-alive probes on an idle
// connection, and by TCP_USER_TIMEOUT if data is unacknowledged.
func TestGonePeer(t *testing.T) {
	ours, _ := tcp(t)
	local := newSocket(ours)
	for _, option := range []struct {
		name         string
		level, which int
		want         int
	}{
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
	} {
		var got int
		local.raw.Control(func(fd uintptr) { got, _ = unix.GetsockoptInt(int(fd), option.level, option.which) })
		if got != option.want {
			t.Errorf("%s is %d", option.name, got)
		}
	}

	// TCP_USER_TIMEOUT is set for any address that is not a loopback address.
	ln, err := net.Listen("tcp", net.JoinHostPort(ownAddress(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.DialTimeout("tcp", ln.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ms := userTimeout(t, New(c, time.Second).socket); ms != 60_000 {
		t.Errorf("data may stay unacknowledged for %d ms", ms)
	}
}

// ownAddress returns an address of this machine that is not a loopback address.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no network address")
	return ""
}
