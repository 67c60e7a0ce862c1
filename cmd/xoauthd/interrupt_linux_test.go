package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns the terminal side of a pseudo-terminal.
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { master.Close() })
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	return terminal // not closed: a command that was interrupted may still read from it
}

// A screen calls seen when its output contains text.
type screen struct {
	mu   sync.Mutex
	said bytes.Buffer
	text string
	seen func()
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.said.Write(b)
	if strings.Contains(s.said.String(), s.text) {
		s.seen()
	}
	return n, err
}

// TestInterrupt presses Ctrl-C while commands wait for a person or for a peer. Each ends at
// once with a message.
func TestInterrupt(t *testing.T) {
	terminal := func(t *testing.T) io.Reader { return openTerminal(t) }
	pipe := func(t *testing.T) io.Reader {
		in, out, err := os.Pipe()
		must(t, err)
		t.Cleanup(func() { in.Close(); out.Close() })
		return in
	}
	for _, row := range []struct {
		args  []string
		stdin func(t *testing.T) io.Reader
		at    string // what is said when it happens; empty: at once
		want  string
	}{
		{[]string{"revoke", alice}, terminal, "[y/N]", "canceled; nothing was changed"},
		{[]string{"grant", "import", alice}, terminal, "Refresh token:", "interrupted;"},
		{[]string{"grant", "import", alice}, pipe, "No daemon runs", "interrupted;"},
		{[]string{"authorize", "--terminal", alice}, terminal, "Address:", "interrupted;"},
		{[]string{"hash-password"}, terminal, "Password:", "nothing was written"},
		{[]string{"hash-password"}, pipe, "", "interrupted"},
	} {
		t.Run(strings.Join(row.args, " "), func(t *testing.T) {
			p := newPlace(t)
			if row.args[0] != "hash-password" {
				row.args = append(row.args, "--config", p.file)
			}
			got := interrupted(t, row.at, row.stdin(t), row.args...)
			if !strings.Contains(got, row.want) {
				t.Errorf("said:\n%s\nwant: %s", got, row.want)
			}
		})
	}
}

// interrupted runs a command, interrupts it when its output contains at, and returns its
// output.
func interrupted(t *testing.T, at string, stdin io.Reader, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &screen{text: at, seen: stop}
	if at == "" {
		stop()
	}
	status := make(chan int, 1)
	go func() { status <- run(ctx, args, stdin, s, s) }()
	select {
	case n := <-status:
		if n != exitFailed {
			t.Errorf("exit status %d", n)
		}
	case <-time.After(time.Minute):
		t.Fatal("the command goes on")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if said := s.said.String(); strings.Contains(said, context.Canceled.Error()) {
		t.Errorf("said:\n%s", said)
	}
	return s.said.String()
}

// TestInterruptWhileADaemonIsSilent interrupts commands that wait for a daemon which accepts
// connections and sends nothing.
func TestInterruptWhileADaemonIsSilent(t *testing.T) {
	p := newPlace(t)
	socket, err := net.Listen("unix", p.state+"/control")
	must(t, err)
	defer socket.Close()
	for _, args := range [][]string{
		{"status"},
		{"check", alice},
		{"revoke", "--yes", alice},
		{"authorize", alice},
		{"authorize", "--terminal", alice},
	} {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		go func() {
			conn, err := socket.Accept()
			if err != nil {
				return // the test has ended
			}
			io.ReadAtLeast(conn, make([]byte, 1), 1)
			stop()
			io.Copy(io.Discard, conn) // until the command goes
			conn.Close()
		}()
		var said bytes.Buffer
		if status := run(ctx, append(args, "--config", p.file), strings.NewReader(""), &said, &said); status != exitFailed {
			t.Errorf("%v: exit status %d", args, status)
		}
		if !strings.Contains(said.String(), "interrupted") || strings.Contains(said.String(), "canceled") {
			t.Errorf("%v says: %s", args, &said)
		}
	}
}
