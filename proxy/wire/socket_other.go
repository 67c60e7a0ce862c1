//go:build !linux

package wire

import (
	"syscall"
	"time"
)

// Other systems keep their own defaults.
func setQuickAck(syscall.RawConn)                   {}
func setUserTimeout(syscall.RawConn, time.Duration) {}
