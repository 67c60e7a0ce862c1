package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// maxPath is how long the path of a unix socket can be: sun_path of unix(7) has
// room for 108 bytes, of which the last is 0.
const maxPath = 107

// path is that of the socket in a state directory, which is nobody else's.
func path(dir string) string { return filepath.Join(dir, "control") }

// Listen opens the socket in the state directory dir. The caller must have the
// lock of the store there: a socket that is found was left by a daemon that was
// killed, and is replaced.
func Listen(dir string) (net.Listener, error) {
	path := path(dir)
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s: the path of a socket has at most %d bytes, and this one %d: choose a shorter state_directory", path, maxPath, len(path))
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is in the way of the socket for commands, and not a socket: move it away", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// The directory keeps others out until then, and afterwards.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}
