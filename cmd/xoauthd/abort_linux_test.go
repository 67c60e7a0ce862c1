package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAbort checks that a daemon with many sessions writes little, and no secret, when
// systemd's watchdog ends it.
func TestAbort(t *testing.T) {
	const sessions = 500
	p := newProcess(t)
	appendTo(t, p.config, "\n[limits]\nsessions_per_address = 1000\n")
	cmd := p.command(p.program, "serve", "-c", p.config)
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	log := bufio.NewReader(stderr)
	connectMany(t, listeningAddress(t, log), sessions)

	must(t, cmd.Process.Signal(syscall.SIGABRT))
	text, err := io.ReadAll(log)
	must(t, err)
	aborted(t, cmd, whenEnded(cmd))
	_, dump, found := strings.Cut(string(text), "SIGABRT: ")
	if !found || !strings.Contains(dump, "goroutine profile: total ") || !regexp.MustCompile(`(?m)^[2-5]\d\d @ `).MatchString(dump) || !strings.Contains(dump, ".runDaemon+") {
		t.Errorf("it says\n%s", shortenLog(string(text)))
	}
	if lines := strings.Count(dump, "\n"); len(dump) > maxDump+1000 || lines > 2000 {
		t.Errorf("%d octets in %d lines", len(dump), lines)
	}
	t.Logf("%d octets in %d lines for %d sessions", len(dump), strings.Count(dump, "\n"), sessions)
	if strings.Contains(string(text), secretInEnvironment) {
		t.Error("there is a secret in it")
	}
}

// TestAbortWithBlockedLog checks that SIGABRT ends a daemon whose standard error is a
// full pipe that nobody reads.
func TestAbortWithBlockedLog(t *testing.T) {
	p := newProcess(t)
	appendTo(t, p.config, "\n[log]\nlevel = \"debug\"\n")
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	size, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	must(t, err)
	cmd := p.command(p.program, "serve", "-c", p.config)
	cmd.Stderr = w
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	ended := whenEnded(cmd)
	must(t, w.Close())
	address := listeningAddress(t, bufio.NewReader(r)) // and then reads no more
	for deadline := time.Now().Add(20 * time.Second); ; {
		connectMany(t, address, 1)
		unread, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
		must(t, err)
		if unread > size-1000 { // less than a page is written as a whole
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d octets are in the pipe", unread, size)
		}
	}
	connectMany(t, address, 20)
	must(t, cmd.Process.Signal(syscall.SIGABRT))
	aborted(t, cmd, ended)
}

// whenEnded waits for cmd in the background.
func whenEnded(cmd *exec.Cmd) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended
}

// aborted fails unless SIGABRT ends cmd, and soon.
func aborted(t *testing.T, cmd *exec.Cmd, ended <-chan error) {
	t.Helper()
	select {
	case <-ended:
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGABRT || status.CoreDump() {
			t.Errorf("the daemon ended: %v", cmd.ProcessState)
		}
	case <-time.After(20 * time.Second):
		t.Error("SIGABRT does not end the daemon")
	}
}

// connectMany opens connections, reads the greeting of each, and keeps them until the
// test ends.
func connectMany(t *testing.T, address string, n int) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", address)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = c.Read(make([]byte, 1))
		must(t, err)
	}
}
