package wire

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout returns TCP_USER_TIMEOUT of s in milliseconds.
func userTimeout(t *testing.T, s *socket) (ms int) {
	t.Helper()
	var err error
	s.raw.Control(func(fd uintptr) { ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) })
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// A program on this machine may stop reading for any length of time.
func TestUserTimeout(t *testing.T) {
	ours, _ := tcp(t)
	s := newSocket(ours)
	if ms := userTimeout(t, s); ms != 0 {
		t.Errorf("TCP_USER_TIMEOUT for a local client is %d ms", ms)
	}
	setUserTimeout(s.raw, time.Minute)
	if ms := userTimeout(t, s); ms != 60_000 {
		t.Errorf("TCP_USER_TIMEOUT is %d ms, want 60000", ms)
	}
	if isLoopback(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}) || !isLoopback(&net.TCPAddr{IP: net.IPv6loopback}) {
		t.Error("isLoopback is wrong")
	}
}
