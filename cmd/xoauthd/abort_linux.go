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
	// maxDump bounds what is written of the goroutines, in octets.
	maxDump = 128 << 10

	// dumpTime bounds how long that takes. Standard error may be a pipe that nobody
	// reads.
	dumpTime = 2 * time.Second
)

// catchAbort makes SIGABRT, by which systemd's watchdog ends a daemon that hangs,
// write one stack for all goroutines that have the same, and then end the process. Go
// itself would write each of thousands. A second SIGABRT ends the process at once.
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

// goroutines returns the stacks of all goroutines, those that many have first, as
// lines of the log.
func goroutines() []byte {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		profile.WriteString(err.Error())
	}
	var lines bytes.Buffer
	daemon.Say(&lines, slog.LevelError, "SIGABRT: xoauthd ends now, and these are its goroutines, by their stacks\n")
	daemon.Say(&lines, slog.LevelError, profile.String())
	if lines.Len() <= maxDump {
		return lines.Bytes()
	}
	whole := lines.Bytes()[:maxDump]
	whole = whole[:bytes.LastIndexByte(whole, '\n')+1]
	rest := bytes.NewBuffer(whole)
	daemon.Say(rest, slog.LevelError, "and more stacks, each of few goroutines\n")
	return rest.Bytes()
}

// writeAll writes to a descriptor, and not by an os.File: a line of the log that
// nobody reads may hold the lock of that.
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

// defaultAction has the kernel do what it does by default at a signal. Package
// os/signal can only have the Go runtime do what that does.
func defaultAction(s syscall.Signal) {
	// The kernel's struct sigaction, in which all zeros are SIG_DFL. It is at most
	// this long.
	var action [64]byte
	signals := uintptr(8) // octets of a set of signals
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		signals = 16
	}
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, signals, 0, 0)
}
