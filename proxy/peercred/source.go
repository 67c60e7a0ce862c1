package peercred

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// A Source identifies the origin of connections for limits and fairness: a local
// user, an IPv4 address, or an IPv6 network of 64 bits, because one host can use all
// addresses of its network. Sources are comparable. The zero value is an unknown
// local user.
type Source struct {
	host  netip.Prefix // of another machine; not valid for a local user
	uid   uint32
	known bool // uid is valid
}

// Source returns the source of conn. It takes microseconds: for a TCP connection it
// uses sock_diag(7) only, and without sock_diag all local users are one source.
func (f *Finder) Source(conn net.Conn) Source {
	if uid, err := f.finder.lookUpFast(unwrap(conn)); err == nil {
		return Source{uid: uid, known: true}
	}
	if t, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return SourceOfAddr(t.AddrPort().Addr())
	}
	return Source{}
}

// SourceOfUser returns the source for a local user.
func SourceOfUser(uid uint32) Source { return Source{uid: uid, known: true} }

// UID returns the local user of s. known is false if s is not a known local user.
func (s Source) UID() (uid uint32, known bool) { return s.uid, s.known }

// String returns "192.0.2.1", "2001:db8::/64", "this machine" or "user 1000 of this
// machine".
func (s Source) String() string {
	switch {
	case s.known:
		return fmt.Sprintf("user %d of this machine", s.uid)
	case s.host.IsValid():
		return strings.TrimSuffix(s.host.String(), "/32")
	}
	return "this machine"
}

// SourceOfAddr returns the source for an address. A loopback or invalid address is
// the zero Source.
func SourceOfAddr(a netip.Addr) Source {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() {
		return Source{}
	}
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	host, _ := a.Prefix(bits) // cannot fail: the address has no zone
	return Source{host: host}
}
