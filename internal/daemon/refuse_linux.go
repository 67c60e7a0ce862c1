package daemon

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xoauthd/xoauthd/internal/exhausted"
	"github.com/xoauthd/xoauthd/proxy/peercred"
)

const (
	// overloadTime is the time after which a listener is overloaded, if the kernel's
	// queue of connections has not been empty since.
	overloadTime = 100 * time.Millisecond

	// maxRefusals limits the connections that are closed before other goroutines run.
	maxRefusals = 16
)

// A refusingListener calls refuse for each connection while it is overloaded, and closes
// the connections for which refuse returns true before package net sees them. A flood then
// costs the daemon less than its sender. Otherwise its connections would fill the kernel's
// queue, and other clients would wait behind them.
type refusingListener struct {
	net.Listener
	refuse  func(peercred.Source) bool
	file    *os.File // the same socket
	raw     syscall.RawConn
	sources peercred.SocketFinder
	closed  atomic.Bool
	kept    *os.File // a connection for which there was no second descriptor; nil: none

	overload time.Duration // overloadTime
	busy     time.Time     // when the queue was last empty; zero: it is empty
}

// refusing returns ln as a refusingListener.
func refusing(ln net.Listener, refuse func(peercred.Source) bool) (net.Listener, error) {
	filer, ok := ln.(interface{ File() (*os.File, error) })
	if !ok {
		return ln, nil
	}
	file, err := filer.File()
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &refusingListener{Listener: ln, refuse: refuse, file: file, raw: raw, overload: overloadTime}, nil
}

// Accept returns the next connection that is not refused. One goroutine at a time
// may call it.
func (l *refusingListener) Accept() (net.Conn, error) {
	for {
		fd, err := l.accept()
		switch {
		case l.closed.Load():
			if fd >= 0 {
				unix.Close(fd)
			}
			if l.kept != nil {
				l.kept.Close()
			}
			l.sources.Close()
			return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
		case err != nil:
			return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: err}
		case fd >= 0:
			l.kept = os.NewFile(uintptr(fd), "")
		}
		if l.kept != nil {
			return l.connection()
		}
		runtime.Gosched()
	}
}

// connection returns the accepted connection as one of package net. That needs a second
// descriptor. If there is none, the listener keeps the connection for the next call of
// Accept: the client waits, as it would in the queue of the kernel.
func (l *refusingListener) connection() (net.Conn, error) {
	c, err := net.FileConn(l.kept)
	if exhausted.Files(err) {
		return nil, err
	}
	l.kept.Close()
	l.kept = nil
	return c, err
}

// accept returns the descriptor of a connection, or -1 after maxRefusals. It returns -1
// at once if the listener keeps a connection.
func (l *refusingListener) accept() (fd int, err error) {
	waiting := l.raw.Read(func(listener uintptr) bool {
		if l.kept != nil {
			fd = -1
			return true
		}
		for refused := 0; refused < maxRefusals; {
			var peer unix.Sockaddr
			fd, peer, err = unix.Accept4(int(listener), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			switch {
			case err == unix.EINTR || err == unix.ECONNABORTED:
			case err == unix.EAGAIN:
				l.busy = time.Time{}
				return false
			case err != nil:
				fd = -1
				return true
			case !l.overloaded() || !l.refuse(l.sources.Source(fd, peer)):
				return true
			default:
				unix.Close(fd)
				refused++
			}
		}
		fd, err = -1, nil
		return true
	})
	if waiting != nil {
		return -1, waiting
	}
	return fd, os.NewSyscallError("accept4", err)
}

// overloaded reports whether connections have come faster than they were accepted
// for some time. It is called for each.
func (l *refusingListener) overloaded() bool {
	now := time.Now()
	if l.busy.IsZero() {
		l.busy = now
	}
	return now.Sub(l.busy) >= l.overload
}

// SetDeadline makes Accept return when t has passed.
func (l *refusingListener) SetDeadline(t time.Time) error { return l.file.SetDeadline(t) }

// Close closes the socket. Accept then returns an error.
func (l *refusingListener) Close() error {
	l.closed.Store(true)
	return errors.Join(l.file.Close(), l.Listener.Close())
}
