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

// maxSocketPath is how long the path of a unix socket can be: sun_path of unix(7)
// has room for 108 bytes, of which the last is 0.
const maxSocketPath = 107

// A socket is a listener at a path. It removes that at its end, unless another
// has taken it over.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo // of the file that is ours
	once sync.Once
	err  error // of closing it
}

// openSocket listens at path, and says what to do where that fails. The socket is
// made in a folder that is open to nobody else and moved when it has its owner
// and mode, so that nobody connects who must not.
func openSocket(path string, want config.Socket) (net.Listener, error) {
	if err := makeWay(path); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(filepath.Dir(path), ".new")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no folder %s: RuntimeDirectory=xoauthd in the unit makes /run/xoauthd", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("xoauthd cannot make files in the folder %s: /run/xoauthd, by RuntimeDirectory=xoauthd in the unit, is its own", filepath.Dir(path))
	case err != nil:
		return nil, err
	}
	defer os.Remove(folder)
	made := filepath.Join(folder, "s")
	if longest := max(len(path), len(made)); longest > maxSocketPath {
		return nil, fmt.Errorf("%s: the path is %d bytes too long for a socket: choose a shorter one", path, longest-maxSocketPath)
	}
	ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ul.SetUnlinkOnClose(false)
	s := &socket{UnixListener: ul, path: path}
	if err := s.move(made, want); err != nil {
		return nil, errors.Join(err, ul.Close(), os.Remove(made))
	}
	return s, nil
}

// makeWay refuses a path where something is that must not be replaced: all but a
// socket at which nobody listens any more.
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
		return nil
	}
	return fmt.Errorf("%s is there already, and may be in use (%w): remove it if it is not", path, err)
}

// move gives the socket that was made its owner, its mode and its path.
func (s *socket) move(made string, want config.Socket) error {
	if err := os.Chown(made, want.UID, want.GID); err != nil {
		return fmt.Errorf("socket_user and socket_group: %w: who is not root can give it to a group that it is in, and to no other user; SupplementaryGroups= in the unit adds groups", err)
	}
	if err := os.Chmod(made, want.Mode); err != nil {
		return err
	}
	var err error
	if s.info, err = os.Lstat(made); err != nil {
		return err
	}
	return os.Rename(made, s.path)
}

// Addr is the path, and not that under which the socket was made.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// Close removes the socket once: what is at the path later is another's.
func (s *socket) Close() error {
	s.once.Do(func() {
		if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.info) {
			s.err = os.Remove(s.path)
		}
		s.err = errors.Join(s.err, s.UnixListener.Close())
	})
	return s.err
}
