package peercred

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// errNoSocket means that the other end has been closed, or that no process holds it.
var errNoSocket = errors.New("the client has closed its socket")

type finder struct {
	diagWorks atomic.Bool // sock_diag has found a socket
	tables    procTables
}

func (f *finder) uid(conn net.Conn) (uint32, error) {
	uid, err := f.lookUpFast(conn)
	var notLocal *notLocalError
	c, ok := conn.(*net.TCPConn)
	if err == nil || !ok || errors.As(err, &notLocal) || f.diagWorks.Load() {
		return uid, err
	}
	client, ours := endpoints(c) // sock_diag may be missing
	return f.tables.find(client, ours)
}

// lookUpFast is uid without the tables in /proc. It takes microseconds.
func (f *finder) lookUpFast(conn net.Conn) (uint32, error) {
	switch c := conn.(type) {
	case *net.UnixConn:
		return unixPeer(c)
	case *net.TCPConn:
		return f.tcpPeer(endpoints(c))
	}
	return 0, fmt.Errorf("a %s connection has no user", conn.RemoteAddr().Network())
}

// A notLocalError is the error for a client on another machine.
type notLocalError struct{ client netip.Addr }

func (e *notLocalError) Error() string { return fmt.Sprintf("%s is not on this machine", e.client) }

func endpoints(c *net.TCPConn) (client, ours netip.AddrPort) {
	return unmap(c.RemoteAddr().(*net.TCPAddr).AddrPort()), unmap(c.LocalAddr().(*net.TCPAddr).AddrPort())
}

// unixPeer returns the user that connected, even if another user holds the socket
// now. It must not be called for TCP: the kernel returns 4294967295 and no error.
func unixPeer(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) { uid, err = unixSocketPeer(int(fd)) })
	return uid, errors.Join(controlErr, err)
}

// unixSocketPeer is unixPeer for a file descriptor.
func unixSocketPeer(socket int) (uid uint32, err error) {
	credentials, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return credentials.Uid, nil
}

// tcpPeer looks up the client's socket by sock_diag.
func (f *finder) tcpPeer(client, ours netip.AddrPort) (uid uint32, err error) {
	if !isLocal(client, ours) {
		return 0, &notLocalError{client.Addr()}
	}
	uid, err = sockDiag(client, ours)
	if err == nil {
		f.diagWorks.Store(true)
	}
	return uid, err
}

// isLocal reports whether client is on this machine: a connection to one of the
// machine's own addresses comes from the same address.
func isLocal(client, ours netip.AddrPort) bool {
	return client.Addr().IsLoopback() || client.Addr() == ours.Addr()
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
