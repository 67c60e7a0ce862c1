// Package peercred determines which local user is the peer of a connection. It uses
// SO_PEERCRED for unix sockets and sock_diag(7) or /proc for local TCP connections.
// On systems other than Linux the user of every connection is unknown.
package peercred

import (
	"cmp"
	"net"
	"os/user"
	"strconv"
)

// A Finder looks up the users of connections. The zero value is ready for use. It is
// safe for concurrent use.
type Finder struct{ finder finder }

// UID returns the user that opened the other end of conn. If conn has a NetConn
// method, as a tls.Conn does, UID uses the underlying connection. The error wraps
// errors.ErrUnsupported on systems other than Linux.
func (f *Finder) UID(conn net.Conn) (uid uint32, err error) {
	return f.finder.uid(unwrap(conn))
}

func unwrap(conn net.Conn) net.Conn {
	for {
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = wrapper.NetConn()
	}
}

// UserName returns the name of a local user, or the number if the user has no name.
func UserName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(number)
	if err != nil {
		return number
	}
	return cmp.Or(u.Username, number)
}
