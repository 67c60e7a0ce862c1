package wire

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setQuickAck asks for the next acknowledgement to be sent at once. The kernel
// forgets it after a while, so it is said before each read.
func setQuickAck(raw syscall.RawConn) {
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}

// setUserTimeout bounds how long sent data may stay unacknowledged (RFC 5482).
func setUserTimeout(raw syscall.RawConn, d time.Duration) {
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
