package control

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// permitted refuses who is neither root nor the daemon's own user. The modes of
// the socket and of its directory do so, too; this holds if somebody changes
// them. (With PrivateUsers=yes, systemd leaves these two users their numbers.)
func permitted(conn net.Conn) error {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var fault error
	if err := raw.Control(func(fd uintptr) {
		peer, fault = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if fault != nil {
		return fault
	}
	return allowed(int(peer.Uid))
}

func allowed(uid int) error {
	if uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("user %d may not give commands: run it as root, or as the user that xoauthd runs as", uid)
	}
	return nil
}
