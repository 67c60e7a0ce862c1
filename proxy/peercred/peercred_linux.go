package peercred

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// errNoSocket means that the other end has been closed meanwhile, or was passed to
// no process.
var errNoSocket = errors.New("the client has closed its socket")

type finder struct {
	diag   atomic.Bool // sock_diag has found a socket, so it works
	tables tables
}

func (f *finder) uid(conn net.Conn) (uint32, error) {
	uid, err := f.quick(conn)
	var notLocal *notLocalError
	c, ok := conn.(*net.TCPConn)
	if err == nil || !ok || errors.As(err, &notLocal) || f.diag.Load() {
		return uid, err
	}
	client, ours := ends(c) // the failure may be for want of sock_diag
	return f.tables.find(client, ours)
}

// quick is uid where that takes microseconds.
func (f *finder) quick(conn net.Conn) (uint32, error) {
	switch c := conn.(type) {
	case *net.UnixConn:
		return unixPeer(c)
	case *net.TCPConn:
		return f.tcpPeer(ends(c))
	}
	return 0, fmt.Errorf("a %s connection has no user", conn.RemoteAddr().Network())
}

// A notLocalError is of a client that is no program of this machine.
type notLocalError struct{ client netip.Addr }

func (e *notLocalError) Error() string { return fmt.Sprintf("%s is not on this machine", e.client) }

func ends(c *net.TCPConn) (client, ours netip.AddrPort) {
	return unmap(c.RemoteAddr().(*net.TCPAddr).AddrPort()), unmap(c.LocalAddr().(*net.TCPAddr).AddrPort())
}

// unixPeer returns the user who connected, even if another holds the socket now.
// It must not be asked about TCP: there the kernel answers 4294967295 and no error.
func unixPeer(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) {
		credentials, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(controlErr, err); err != nil {
		return 0, err
	}
	return credentials.Uid, nil
}

// tcpPeer looks up the client's socket.
func (f *finder) tcpPeer(client, ours netip.AddrPort) (uid uint32, err error) {
	if !isLocal(client, ours) {
		return 0, &notLocalError{client.Addr()}
	}
	uid, err = sockDiag(client, ours)
	if err == nil {
		f.diag.Store(true)
	}
	return uid, err
}

// isLocal reports whether client is a program of this machine: a connection to one
// of the machine's own addresses comes from that address.
func isLocal(client, ours netip.AddrPort) bool {
	return client.Addr().IsLoopback() || client.Addr() == ours.Addr()
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
