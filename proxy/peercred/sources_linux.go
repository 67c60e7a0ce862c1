package peercred

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sources finds the sources of sockets that one goroutine accepts. It keeps a
// descriptor open between lookups, which take half as long as a Finder's. The zero
// value is ready for use.
type Sources struct {
	diag diagSocket
	open bool
}

// Of returns where the client of an accepted socket is. Peer is its address, as
// accept(2) has it.
func (s *Sources) Of(socket int, peer unix.Sockaddr) Source {
	client, ok := addrPort(peer)
	if !ok {
		credentials, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return Source{}
		}
		return Source{uid: credentials.Uid, known: true}
	}
	sockname, err := unix.Getsockname(socket)
	if err != nil {
		return SourceOf(client.Addr())
	}
	ours, _ := addrPort(sockname)
	if !isLocal(client, ours) {
		return SourceOf(client.Addr())
	}
	uid, err := s.lookUp(client, ours)
	if err != nil {
		return SourceOf(client.Addr())
	}
	return Source{uid: uid, known: true}
}

func (s *Sources) lookUp(client, ours netip.AddrPort) (uid uint32, err error) {
	if !s.open {
		if s.diag, err = openDiag(); err != nil {
			return 0, err
		}
		s.open = true
	}
	uid, err = s.diag.lookUp(client, ours)
	if err != nil && !errors.Is(err, errNoSocket) {
		s.Close() // it may be out of step
	}
	return uid, err
}

// Close frees the descriptor. A later Of opens another.
func (s *Sources) Close() {
	if s.open {
		s.diag.close()
		s.open = false
	}
}

// addrPort returns the address of a TCP socket.
func addrPort(a unix.Sockaddr) (netip.AddrPort, bool) {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), true
	}
	return netip.AddrPort{}, false
}
