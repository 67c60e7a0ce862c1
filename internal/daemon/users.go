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

// A userListener accepts connections of some users of this machine, and closes others.
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

// Accept returns the next connection. The first Read looks up its user, so that this does
// not delay other connections.
func (l *userListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &userConn{Conn: c, allowed: sync.OnceValue(func() error { return l.allow(c) })}, nil
}

// allow closes c and returns an error if its user is not allowed.
func (l *userListener) allow(c net.Conn) error {
	uid, err := l.finder.UID(c)
	switch {
	case err != nil:
		err = fmt.Errorf("user not known (local_users): %w", err)
	case slices.Contains(l.users, uid):
		return nil
	default:
		err = fmt.Errorf("user %s is not in local_users", peercred.UserName(uid))
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

// A userConn checks its user at the first Read.
type userConn struct {
	net.Conn
	allowed func() error
}

// NetConn returns the wrapped connection.
func (c *userConn) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn.
func (c *userConn) Read(b []byte) (int, error) {
	if err := c.allowed(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// checkUsers returns an error if this system cannot distinguish the users.
func checkUsers(proc string, users []uint32) error {
	uidMap, err := os.ReadFile(filepath.Join(proc, "self/uid_map"))
	if errors.Is(err, fs.ErrNotExist) {
		// A Linux without user namespaces has no uid_map.
		_, err = os.Stat(filepath.Join(proc, "self/status"))
	}
	if err != nil {
		return fmt.Errorf("%w: local_users needs /proc of Linux; remove it here", err)
	}
	return checkUIDMap(string(uidMap), users)
}

// checkUIDMap returns an error if a user is not mapped in this user namespace
// (user_namespaces(7)), because all unmapped users look like the user nobody, 65534. The
// initial namespace maps all users.
func checkUIDMap(uidMap string, users []uint32) error {
	const nobody, everybody = 65534, 1<<32 - 1
	var mapped [][2]uint64 // from, to
	for line := range strings.Lines(uidMap) {
		var inside, outside, count uint64
		if n, err := fmt.Sscan(line, &inside, &outside, &count); n < 3 {
			return fmt.Errorf("/proc/self/uid_map: %w", err)
		}
		if count == everybody {
			return nil
		}
		mapped = append(mapped, [2]uint64{inside, inside + count})
	}
	for _, u := range users {
		known := slices.ContainsFunc(mapped, func(r [2]uint64) bool { return r[0] <= uint64(u) && uint64(u) < r[1] })
		if len(mapped) > 0 && (!known || u == nobody) {
			return fmt.Errorf("user %d is not mapped in this user namespace: the unit must not have PrivateUsers=", u)
		}
	}
	return nil
}
