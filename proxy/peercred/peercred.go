// Package peercred finds out which user of this machine is at the other end of a
// connection: by SO_PEERCRED for a unix socket, and by the kernel's table of
// sockets for TCP within the machine. It works on Linux; elsewhere every
// connection is one of an unknown user.
package peercred

import (
	"cmp"
	"net"
	"os/user"
	"strconv"
)

// A Finder finds the users of connections. The zero value is ready for use, by
// several goroutines at once.
type Finder struct{ finder finder }

// UID returns the user who opened the other end of conn. A connection that wraps
// another is unwrapped by its method NetConn, as tls.Conn has it. The error is
// errors.ErrUnsupported where the system is not Linux.
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

// UserName returns the name of a user of this machine, or the number if the user
// has no name.
func UserName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(number)
	if err != nil {
		return number
	}
	return cmp.Or(u.Username, number)
}
