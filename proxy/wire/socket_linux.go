package wire

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setQuickAck makes the kernel send the next acknowledgement immediately. The kernel
// resets the option, so it is set before each read.
func setQuickAck(raw syscall.RawConn) {
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}

// setUserTimeout limits how long sent data may stay unacknowledged (RFC 5482).
func setUserTimeout(raw syscall.RawConn, d time.Duration) {
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
