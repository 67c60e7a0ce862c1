package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/xoauthd/xoauthd/config"
)

// A socket is a listener at a path. It removes that at its end, unless another
// has taken it over.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo // of the file that is ours
	once sync.Once
	err  error // of closing it
}

// openSocket listens at path, and says what to do where that fails. Until the
// socket has its owner and mode nobody else can connect to it.
func openSocket(path string, want config.Socket) (net.Listener, error) {
	if err := makeWay(path); err != nil {
		return nil, err
	}
	ul, err := listenPrivately(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no folder %s: RuntimeDirectory=xoauthd in the unit makes /run/xoauthd", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("xoauthd cannot make files in the folder %s: /run/xoauthd, by RuntimeDirectory=xoauthd in the unit, is its own", filepath.Dir(path))
	case err != nil:
		return nil, err
	}
	s := &socket{UnixListener: ul, path: path}
	if err := s.hand(want); err != nil {
		return nil, errors.Join(err, ul.Close(), os.Remove(path))
	}
	return s, nil
}

// listenPrivately makes a socket that is its owner's alone. The mask is that of
// the whole process: what else is made meanwhile would only be more private.
func listenPrivately(path string) (*net.UnixListener, error) {
	defer syscall.Umask(syscall.Umask(0o077))
	ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		ul.SetUnlinkOnClose(false) // Close sees to it
	}
	return ul, err
}

// makeWay removes a socket at which nobody listens any more, as a daemon that was
// killed leaves it. Anything else at the path is refused, and stays.
func makeWay(path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there already, and not a socket: move it away, or choose another path", path)
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%s is in use: another program listens at it; \"ss -lxp\" shows which", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("%s is there already, and may be in use (%w): remove it if it is not", path, err)
}

// hand gives the socket to whom it is for. An owner that is not asked for stays:
// who hardens the unit may forbid the very call.
func (s *socket) hand(want config.Socket) error {
	if want.UID >= 0 || want.GID >= 0 {
		if err := os.Chown(s.path, want.UID, want.GID); err != nil {
			return fmt.Errorf("socket_user and socket_group: %w: who is not root can give it to a group that it is in, and to no other user; SupplementaryGroups= in the unit adds groups, and SystemCallFilter=@chown lets it give", err)
		}
	}
	if err := os.Chmod(s.path, want.Mode); err != nil {
		return err
	}
	var err error
	s.info, err = os.Lstat(s.path)
	return err
}

// Close removes the socket once: what is at the path later is another's. It does
// so while it still listens, when no other file can have the number of ours.
func (s *socket) Close() error {
	s.once.Do(func() {
		if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.info) {
			s.err = os.Remove(s.path)
		}
		s.err = errors.Join(s.err, s.UnixListener.Close())
	})
	return s.err
}
