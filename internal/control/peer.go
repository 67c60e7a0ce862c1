package control

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// peerUser returns the user who gives the command at the other end of conn. Within
// this process, and where the system does not tell users apart, that is the
// daemon's own. (With PrivateUsers=yes, systemd leaves that user and root their
// numbers.)
func peerUser(conn net.Conn) (uid int, err error) {
	if _, ok := conn.(*net.UnixConn); !ok {
		return os.Geteuid(), nil
	}
	found, err := new(peercred.Finder).UID(conn)
	if errors.Is(err, errors.ErrUnsupported) {
		return os.Geteuid(), nil
	}
	return int(found), err
}

// permitted refuses all users but root and the daemon's own. The modes of the
// socket and of its directory do so, too; this holds if somebody changes them.
func permitted(conn net.Conn) error {
	uid, err := peerUser(conn)
	if err != nil {
		return err
	}
	return allowed(uid)
}

func allowed(uid int) error {
	if uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("user %d may not give commands: run it as root, or as the user that xoauthd runs as", uid)
	}
	return nil
}
