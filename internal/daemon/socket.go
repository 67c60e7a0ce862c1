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

// A socket is a unix socket. Close removes its file, unless another process has replaced
// it.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo // of our file
	once sync.Once
	err  error // of closing it
}

// openSocket listens on path. Its errors contain the remedy. Other users cannot connect
// before the socket has its owner and mode.
func openSocket(path string, want config.Socket) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ul, err := listenPrivately(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no directory %s: RuntimeDirectory=xoauthd in the unit creates /run/xoauthd", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("xoauthd cannot create files in the directory %s: use /run/xoauthd, which RuntimeDirectory=xoauthd in the unit creates", filepath.Dir(path))
	case err != nil:
		return nil, err
	}
	s := &socket{UnixListener: ul, path: path}
	if err := s.setOwner(want); err != nil {
		return nil, errors.Join(err, ul.Close(), os.Remove(path))
	}
	return s, nil
}

// listenPrivately creates a socket that only its owner can use. The umask is that of the
// whole process: other files that are created meanwhile are more private, too.
func listenPrivately(path string) (*net.UnixListener, error) {
	defer syscall.Umask(syscall.Umask(0o077))
	ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		ul.SetUnlinkOnClose(false) // Close removes it
	}
	return ul, err
}

// removeStale removes a socket without a listener, which a killed daemon leaves. It returns an
// error for anything else at the path, and for a path that is too long.
func removeStale(path string) error {
	if err := config.CheckSocketPath(path); err != nil {
		return err
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is no socket: move it away, or choose another path", path)
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%s is in use: another program listens at it; \"ss -lxp\" shows which", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("%s exists and may be in use (%w): remove it if it is not", path, err)
}

// setOwner sets owner and mode. It does not call chown without need: a hardened unit may
// forbid it.
func (s *socket) setOwner(want config.Socket) error {
	if want.UID >= 0 || want.GID >= 0 {
		if err := os.Chown(s.path, want.UID, want.GID); err != nil {
			return fmt.Errorf("socket_user and socket_group: %w: without root, only a group of the daemon is possible; SupplementaryGroups= in the unit adds groups, and SystemCallFilter=@chown allows the call", err)
		}
	}
	if err := os.Chmod(s.path, want.Mode); err != nil {
		return err
	}
	var err error
	s.info, err = os.Lstat(s.path)
	return err
}

// Close removes the file of the socket, once: later it may be that of another process. It
// does so before it stops listening, while no other file can have our inode number.
func (s *socket) Close() error {
	s.once.Do(func() {
		if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.info) {
			s.err = os.Remove(s.path)
		}
		s.err = errors.Join(s.err, s.UnixListener.Close())
	})
	return s.err
}
