package daemon

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// TestRefusing checks that a refusingListener hands out connections that package net
// knows, with the source of each, that it closes those that are refused, and that it
// keeps nothing open.
func TestRefusing(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		all, err := newOpener().open(config.Endpoint{Address: address, Socket: asMade(0o600)})
		if err != nil {
			t.Fatal(err)
		}
		var refuse atomic.Bool
		var source atomic.Value
		ln, err := refusing(all[0], func(s peercred.Source) bool { source.Store(s); return refuse.Load() })
		if err != nil {
			t.Fatal(err)
		}
		ln.(*refusingListener).overload = 0 // at once
		a, _ := testAcceptor(ln)
		accepted := make(chan net.Conn)
		ended := make(chan error, 1)
		go func() {
			for {
				c, err := a.Accept()
				if err != nil {
					ended <- err
					return
				}
				accepted <- c
			}
		}()
		for range 3 {
			refuse.Store(false)
			c := dialAddr(t, ln.Addr())
			ours := <-accepted
			if ours.RemoteAddr().Network() != ln.Addr().Network() {
				t.Errorf("%s: the client is %v", address, ours.RemoteAddr())
			}
			if got, want := source.Load(), new(peercred.Finder).Source(ours); got != want {
				t.Errorf("%s: source %v, want %v", address, got, want)
			}
			io.WriteString(ours, "x")
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Errorf("%s: %v", address, err)
			}
			c.Close()
			if n, err := ours.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s: read %d, %v", address, n, err)
			}
			ours.Close()

			refuse.Store(true)
			for range 100 {
				c := dialAddr(t, ln.Addr())
				c.SetDeadline(time.Now().Add(20 * time.Second))
				if n, err := c.Read(make([]byte, 1)); err == nil || n > 0 || isTimeout(err) {
					t.Errorf("%s: refused: read %d, %v", address, n, err)
				}
				c.Close()
			}
			if err := a.probe(t.Context()); err != nil {
				t.Error(err)
			}
		}
		a.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: closed: %v", address, err)
		}
		if c, err := net.Dial(ln.Addr().Network(), ln.Addr().String()); err == nil {
			c.Close()
			t.Errorf("%s: listens though it is closed", address)
		}
	}
}

// TestRefusingUnlessOverloaded checks that a burst is not refused.
func TestRefusingUnlessOverloaded(t *testing.T) {
	all, err := newOpener().open(config.Endpoint{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := refusing(all[0], func(peercred.Source) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ln.(*refusingListener).overload = time.Hour // this machine may be slow
	const burst = 100
	for range burst {
		dialAddr(t, ln.Addr())
	}
	for range burst {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

func dialAddr(t *testing.T, a net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// TestRefusingWithoutDescriptors checks that a connection for which there is one
// descriptor, and not the second that package net needs, is not lost.
func TestRefusingWithoutDescriptors(t *testing.T) {
	all, err := newOpener().open(config.Endpoint{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := refusing(all[0], func(peercred.Source) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(20*time.Second, func() { ln.Close() }).Stop() // ends an Accept that waits
	c := dialAddr(t, ln.Addr())
	defer c.Close()
	restore := leaveOne(t)
	for range 3 {
		if conn, err := ln.Accept(); !errors.Is(err, syscall.EMFILE) {
			t.Fatalf("without descriptors: %v, %v", conn, err)
		}
		ln.(*refusingListener).SetDeadline(time.Unix(1, 0)) // as a probe does
		if conn, err := ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("probed: %v, %v", conn, err)
		}
		ln.(*refusingListener).SetDeadline(time.Time{})
	}
	restore()
	ours, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(ours, "x")
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	ours.Close()

	second := dialAddr(t, ln.Addr())
	defer second.Close()
	restore = leaveOne(t)
	if _, err := ln.Accept(); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("without descriptors: %v", err)
	}
	restore()
	ln.Close()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	second.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := second.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the kept connection is open after Close: %v", err)
	}
}

// leaveOne leaves one descriptor to this process, until the test ends or restore is
// called.
func leaveOne(t *testing.T) (restore func()) {
	t.Helper()
	lowest, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer lowest.Close()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowered := limit
	lowered.Cur = uint64(lowest.Fd()) + 1
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowered); err != nil {
		t.Fatal(err)
	}
	restore = func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) }
	t.Cleanup(restore)
	return restore
}
