package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBlockedLog checks that a standard error that nobody reads leaks no
// descriptor and does not keep the daemon from stopping.
func TestBlockedLog(t *testing.T) {
	p := newProcess(t)
	appendTo(t, p.config, "\n[log]\nlevel = \"debug\"\n")
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	must(t, err)
	cmd := p.command(p.program, "serve", "-c", p.config)
	cmd.Stderr = w
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	must(t, w.Close())
	address := listeningAddress(t, bufio.NewReader(r)) // and then reads no more

	idle := openFiles(t, cmd)
	const sessions = 200 // of which each logs more than 100 octets
	for range sessions {
		c, err := net.Dial("tcp", address)
		must(t, err)
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "a LOGOUT\r\n")
		_, err = io.Copy(io.Discard, c)
		must(t, err)
		must(t, c.Close())
	}
	for deadline := time.Now().Add(20 * time.Second); openFiles(t, cmd) > idle; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors before the sessions, %d after them", idle, openFiles(t, cmd))
		}
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the daemon ended: %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Error("SIGTERM does not end the daemon")
	}
}

// TestClosedLog checks that the daemon serves on when the reader of its standard
// error is gone: a write then brings a SIGPIPE, which would end it.
func TestClosedLog(t *testing.T) {
	p := newProcess(t)
	r, w, err := os.Pipe()
	must(t, err)
	cmd := p.command(p.program, "serve", "-c", p.config)
	cmd.Stderr = w
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	must(t, w.Close())
	address := listeningAddress(t, bufio.NewReader(r))
	must(t, r.Close())
	for range 3 {
		c, err := net.Dial("tcp", address)
		must(t, err)
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "a LOGOUT\r\n")
		if said, err := io.ReadAll(c); err != nil || !strings.Contains(string(said), "a OK") {
			t.Errorf("%q, %v", said, err)
		}
		must(t, c.Close())
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Errorf("the daemon ended: %v", err)
	}
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	must(t, f.Close())
}

// listeningAddress reads a log up to where it tells the address of a listener.
func listeningAddress(t *testing.T, log *bufio.Reader) string {
	t.Helper()
	for {
		line, err := log.ReadString('\n')
		if err != nil {
			t.Fatalf("%s%v", line, err)
		}
		if _, rest, ok := strings.Cut(line, "msg=listening"); ok {
			_, address, _ := strings.Cut(rest, "address=")
			address, _, _ = strings.Cut(address, " ")
			return address
		}
	}
}

// openFiles counts the descriptors of a program that runs.
func openFiles(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", cmd.Process.Pid))
	must(t, err)
	return len(files)
}
