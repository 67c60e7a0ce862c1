package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// A userListener lets in connections of some users of this machine only, and closes
// the others.
type userListener struct {
	net.Listener
	users  []uint32
	finder *peercred.Finder
	log    *slog.Logger

	mu       sync.Mutex
	refused  int       // since the last log line
	reported time.Time // when that was
}

// refusalLogInterval is the shortest time between two log lines of one listener
// about connections of other users.
const refusalLogInterval = time.Minute

// Accept returns the next connection. Its user is looked up when it is first read
// from, so that the look-up delays nobody else.
func (l *userListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &userConn{Conn: c, allowed: sync.OnceValue(func() error { return l.allow(c) })}, nil
}

// allow returns an error, and closes c, if that is not a connection of the users.
func (l *userListener) allow(c net.Conn) error {
	uid, err := l.finder.UID(c)
	switch {
	case err != nil:
		err = fmt.Errorf("not known to be of local_users: %w", err)
	case slices.Contains(l.users, uid):
		return nil
	default:
		err = fmt.Errorf("the user %s is not one of local_users", peercred.UserName(uid))
	}
	c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
	if now := time.Now(); l.reported.IsZero() || now.Sub(l.reported) >= refusalLogInterval {
		l.log.Warn("connection refused", "address", l.Addr().String(), "error", err.Error(), "connections", l.refused)
		l.refused, l.reported = 0, now
	}
	return err
}

// A userConn is a connection that may have to be closed.
type userConn struct {
	net.Conn
	allowed func() error
}

// NetConn returns the connection itself.
func (c *userConn) NetConn() net.Conn { return c.Conn }

// Read reads from the connection if it is allowed.
func (c *userConn) Read(b []byte) (int, error) {
	if err := c.allowed(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// checkUsers says whether the system at proc tells users from each other.
func checkUsers(proc string, users []uint32) error {
	uidMap, err := os.ReadFile(filepath.Join(proc, "self/uid_map"))
	if errors.Is(err, fs.ErrNotExist) {
		// A Linux without namespaces of users has none, but the rest of proc(5).
		_, err = os.Stat(filepath.Join(proc, "self/status"))
	}
	if err != nil {
		return fmt.Errorf("%w: users can be told from each other only by proc(5) of Linux; take local_users away here", err)
	}
	return usersAreTold(string(uidMap), users)
}

// usersAreTold says whether the system tells each of users from all others, as
// uidMap has it (user_namespaces(7)): who is not in that looks like the last user
// of 16 bits but one, nobody. In the namespace of the machine itself all are.
func usersAreTold(uidMap string, users []uint32) error {
	const nobody, everybody = 65534, 1<<32 - 1
	var told [][2]uint64 // from, to
	for line := range strings.Lines(uidMap) {
		var inside, outside, count uint64
		if n, err := fmt.Sscan(line, &inside, &outside, &count); n < 3 {
			return fmt.Errorf("/proc/self/uid_map: %w", err)
		}
		if count == everybody {
			return nil
		}
		told = append(told, [2]uint64{inside, inside + count})
	}
	for _, u := range users {
		known := slices.ContainsFunc(told, func(r [2]uint64) bool { return r[0] <= uint64(u) && uint64(u) < r[1] })
		if len(told) > 0 && (!known || u == nobody) {
			return fmt.Errorf("user %d cannot be told from others here: the unit must not have PrivateUsers=", u)
		}
	}
	return nil
}
