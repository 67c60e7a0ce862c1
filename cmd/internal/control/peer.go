package control

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// permitted refuses all users but root and the daemon's own. The modes of the
// socket and of its directory do so, too; this holds if somebody changes them,
// where the system tells users apart. (With PrivateUsers=yes, systemd leaves these
// two users their numbers.)
func permitted(conn net.Conn) error {
	if _, ok := conn.(*net.UnixConn); !ok {
		return nil
	}
	uid, err := new(peercred.Finder).UID(conn)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	return allowed(int(uid))
}

func allowed(uid int) error {
	if uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("user %d may not give commands: run it as root, or as the user that xoauthd runs as", uid)
	}
	return nil
}
