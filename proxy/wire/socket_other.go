//go:build !linux

package wire

import (
	"syscall"
	"time"
)

// These are of Linux. Elsewhere the system's own defaults have to do.
func setQuickAck(syscall.RawConn)                   {}
func setUserTimeout(syscall.RawConn, time.Duration) {}
