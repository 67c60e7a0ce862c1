package peercred

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// A Source is what connections come from, where each source is to have a fair part
// of something: a user of this machine, or else an address, of IPv6 a network of 64
// bits, in which one host has as many addresses as it likes. Sources can be
// compared. The zero value is an unknown user of this machine.
type Source struct {
	host  netip.Prefix // of another machine
	uid   uint32
	known bool // uid is that of a user of this machine
}

// Source returns where conn comes from. It takes microseconds: for a TCP connection
// it asks sock_diag(7) alone, and where there is none, all users of this machine are
// one source.
func (f *Finder) Source(conn net.Conn) Source {
	if uid, err := f.finder.quick(unwrap(conn)); err == nil {
		return Source{uid: uid, known: true}
	}
	if t, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return SourceOf(t.AddrPort().Addr())
	}
	return Source{}
}

// SourceOfUser returns the source for a user of this machine.
func SourceOfUser(uid uint32) Source { return Source{uid: uid, known: true} }

// UID returns the user of this machine, if s is one that is known.
func (s Source) UID() (uid uint32, known bool) { return s.uid, s.known }

// String returns the source for reading: "192.0.2.1", "2001:db8::/64", "this machine"
// or "user 1000 of this machine".
func (s Source) String() string {
	switch {
	case s.known:
		return fmt.Sprintf("user %d of this machine", s.uid)
	case s.host.IsValid():
		return strings.TrimSuffix(s.host.String(), "/32")
	}
	return "this machine"
}

// SourceOf returns the source for an address, which is not valid for a client that
// has none.
func SourceOf(a netip.Addr) Source {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() {
		return Source{}
	}
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	host, _ := a.Prefix(bits) // an address without a zone has one
	return Source{host: host}
}
