package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/config"
)

// A scriptedListener returns what is sent to it: a net.Conn or an error.
type scriptedListener struct {
	net.TCPListener // for its methods that are not called here
	next            chan any
	closed          chan struct{}
}

func newScriptedListener() *scriptedListener {
	return &scriptedListener{next: make(chan any, 1000), closed: make(chan struct{})}
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	select {
	case next := <-l.next:
		if err, ok := next.(error); ok {
			return nil, err
		}
		return next.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *scriptedListener) Close() error { close(l.closed); return nil }
func (l *scriptedListener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143}
}

func testAcceptor(ln net.Listener) (*acceptor, *bytes.Buffer) {
	log := new(bytes.Buffer)
	return newAcceptor(ln, "imap", slog.New(slog.NewTextHandler(log, nil)), newAcceptErrors().WithLabelValues("imap")), log
}

var errFiles = &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}

// TestAcceptErrors checks that Accept tries again after errors, at growing intervals, and that
// the log has only a few lines about them.
func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newScriptedListener()
		a, log := testAcceptor(ln)
		start := time.Now()
		for range 10 {
			ln.next <- errFiles
		}
		ln.next <- &net.TCPConn{}
		if _, err := a.Accept(); err != nil {
			t.Fatal(err)
		}
		// 5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000 milliseconds
		if d := time.Since(start); d != 3275*time.Millisecond {
			t.Errorf("accepted after %v", d)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 ||
			!strings.Contains(log.String(), "too many open files") || !strings.Contains(log.String(), "LimitNOFILE=") {
			t.Errorf("the log has %d lines:\n%s", lines, log)
		}
		if n := testutil.ToFloat64(a.errors); n != 10 {
			t.Errorf("%v errors are counted", n)
		}

		// After a connection it waits briefly again. In two minutes, two more lines.
		ln.next <- errFiles
		ln.next <- &net.TCPConn{}
		start = time.Now()
		a.Accept()
		if d := time.Since(start); d != shortestWait {
			t.Errorf("waited %v", d)
		}
		for range 140 {
			ln.next <- errFiles
		}
		ln.next <- &net.TCPConn{}
		a.Accept()
		if lines := strings.Count(log.String(), "\n"); lines != 3 || !strings.Contains(log.String(), "errors=") {
			t.Errorf("the log has %d lines:\n%s", lines, log)
		}

		// Closed while it waits.
		ln.next <- errFiles
		ended := make(chan error, 1)
		go func() {
			_, err := a.Accept()
			ended <- err
		}()
		synctest.Wait()
		start = time.Now()
		a.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// An exhaustedListener has connections for which there is no descriptor.
type exhaustedListener struct {
	net.TCPListener // for its methods that are not called here
	woken           atomic.Bool
	closed          atomic.Bool
}

func (l *exhaustedListener) Accept() (net.Conn, error) {
	switch {
	case l.closed.Load():
		return nil, net.ErrClosed
	case l.woken.Load():
		return nil, os.ErrDeadlineExceeded
	}
	return nil, errFiles
}

func (l *exhaustedListener) SetDeadline(t time.Time) error { l.woken.Store(!t.IsZero()); return nil }
func (l *exhaustedListener) Close() error                  { l.closed.Store(true); return nil }
func (l *exhaustedListener) Addr() net.Addr                { return new(net.TCPAddr) }

// TestAcceptProbeWithoutDescriptors checks that the health check does not wait for the pauses
// of listeners without descriptors. With many listeners, the sum would exceed the watchdog
// timeout of systemd.
func TestAcceptProbeWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := testAcceptor(new(exhaustedListener))
		ended := make(chan error, 1)
		go func() {
			_, err := a.Accept()
			ended <- err
		}()
		for range 3 {
			time.Sleep(10*time.Second + time.Millisecond) // in the middle of a pause
			synctest.Wait()
			start := time.Now()
			if err := a.probe(t.Context()); err != nil || time.Since(start) > 0 {
				t.Errorf("%v after %v", err, time.Since(start))
			}
		}
		a.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestAcceptProbe checks that a listener of each kind is healthy while a goroutine calls
// Accept, and only then, and that probes do not affect connections.
func TestAcceptProbe(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		all, err := newOpener().open(config.Endpoint{Address: address, Socket: asMade(0o600)})
		if err != nil {
			t.Fatal(err)
		}
		a, log := testAcceptor(all[0])
		soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := a.probe(soon); err == nil || !strings.Contains(err.Error(), a.Addr().String()) {
			t.Errorf("%s: nobody accepts: %v", address, err)
		}
		cancel()

		accepted := make(chan error, 10)
		go func() {
			for {
				c, err := a.Accept()
				if err == nil {
					c.Close()
				}
				accepted <- err
				if err != nil {
					return
				}
			}
		}()
		for range 3 {
			if err := a.probe(t.Context()); err != nil {
				t.Errorf("%s: %v", address, err)
			}
			c, err := net.Dial(a.Addr().Network(), a.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			if err := <-accepted; err != nil {
				t.Errorf("%s: %v", address, err)
			}
		}
		a.Close()
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: closed: %v", address, err)
		}
		if err := a.probe(t.Context()); err == nil {
			t.Errorf("%s: well though it is closed", address)
		}
		if log.Len() > 0 {
			t.Errorf("%s: the log is\n%s", address, log)
		}
	}
}
