package peercred

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A SocketFinder looks up the sources of accepted sockets by their file descriptors.
// It keeps a netlink socket open, which makes a lookup twice as fast as with a
// Finder. The zero value is ready for use. It is not safe for concurrent use.
type SocketFinder struct {
	diag diagSocket
	open bool
}

// Source returns the source of an accepted socket. peer is the address from
// accept(2).
func (s *SocketFinder) Source(socket int, peer unix.Sockaddr) Source {
	client, ok := addrPort(peer)
	if !ok {
		uid, err := unixSocketPeer(socket)
		return Source{uid: uid, known: err == nil}
	}
	sockname, err := unix.Getsockname(socket)
	if err != nil {
		return SourceOfAddr(client.Addr())
	}
	ours, _ := addrPort(sockname)
	if !isLocal(client, ours) {
		return SourceOfAddr(client.Addr())
	}
	uid, err := s.lookUp(client, ours)
	if err != nil {
		return SourceOfAddr(client.Addr())
	}
	return Source{uid: uid, known: true}
}

func (s *SocketFinder) lookUp(client, ours netip.AddrPort) (uid uint32, err error) {
	if !s.open {
		if s.diag, err = openDiag(); err != nil {
			return 0, err
		}
		s.open = true
	}
	uid, err = s.diag.lookUp(client, ours)
	if err != nil && !errors.Is(err, errNoSocket) {
		s.Close() // it may contain an unread response
	}
	return uid, err
}

// Close closes the netlink socket. A later Source opens another one.
func (s *SocketFinder) Close() {
	if s.open {
		s.diag.close()
		s.open = false
	}
}

// addrPort returns the address of a TCP socket. ok is false for other sockets.
func addrPort(a unix.Sockaddr) (netip.AddrPort, bool) {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), true
	}
	return netip.AddrPort{}, false
}
