package main

import (
	"bytes"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xoauthd/xoauthd/internal/daemon"
)

const (
	// maxDump limits the text about goroutines, in bytes.
	maxDump = 128 << 10

	// dumpTime limits the time to write it: standard error may be a pipe that nobody
	// reads.
	dumpTime = 2 * time.Second
)

// catchAbort handles SIGABRT, with which the watchdog of systemd ends a daemon that hangs:
// it writes the stacks of all goroutines, equal stacks once, and ends the process. The
// default handler of Go would write thousands of equal stacks. A second SIGABRT ends the
// process at once.
func catchAbort() {
	aborts := make(chan os.Signal, 1)
	signal.Notify(aborts, syscall.SIGABRT)
	go func() {
		<-aborts
		defaultAction(syscall.SIGABRT)
		within(dumpTime, func() { writeAll(syscall.Stderr, goroutines()) })
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
		time.Sleep(time.Second) // the kernel delivers it meanwhile, unless this is process 1 of a container
		os.Exit(128 + int(syscall.SIGABRT))
	}()
}

// goroutines returns the stacks of all goroutines as log lines, the most frequent first.
func goroutines() []byte {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		profile.WriteString(err.Error())
	}
	var lines bytes.Buffer
	daemon.Say(&lines, slog.LevelError, "SIGABRT: xoauthd ends now. Its goroutines by stack:\n")
	daemon.Say(&lines, slog.LevelError, profile.String())
	if lines.Len() <= maxDump {
		return lines.Bytes()
	}
	whole := lines.Bytes()[:maxDump]
	whole = whole[:bytes.LastIndexByte(whole, '\n')+1]
	rest := bytes.NewBuffer(whole)
	daemon.Say(rest, slog.LevelError, "more stacks, each of few goroutines, are left out\n")
	return rest.Bytes()
}

// writeAll writes to a descriptor. It does not use os.File, whose lock a blocked log line
// may hold.
func writeAll(fd int, text []byte) {
	for len(text) > 0 {
		n, err := unix.Write(fd, text)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		text = text[n:]
	}
}

// defaultAction sets the kernel's default action for a signal. Package os/signal can only
// set the action of the Go runtime.
func defaultAction(s syscall.Signal) {
	// The kernel's struct sigaction, at its largest. Zeros are SIG_DFL.
	var action [64]byte
	signals := uintptr(8) // bytes of a signal set
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		signals = 16
	}
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, signals, 0, 0)
}
