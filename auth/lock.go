package auth

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A dirLock keeps other processes from using a directory, as long as this process
// lives and does not close it.
type dirLock struct {
	dir  *os.File // the directory itself: whoever removes the file does not free it
	file *os.File // says which process has the lock
}

// lockDir locks a directory. The error is ErrInUse if another process has it.
func lockDir(path string) (*dirLock, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(path, lockName)
	// Some network file systems (NFS) lock no directories; the file has to do there.
	if err := flock(dir); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(lockedBy(name), dir.Close())
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	l := &dirLock{dir, file}
	switch err := flock(file); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(lockedBy(name), l.Close())
	case err != nil:
		return nil, errors.Join(err, l.Close())
	}
	// The number is a courtesy to whoever comes second. A full disk must not
	// keep the daemon from its start for it, so errors do not matter.
	if file.Truncate(0) == nil {
		fmt.Fprintln(file, os.Getpid())
	}
	return l, nil
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// lockedBy returns ErrInUse with the process that the lock file names, if it is there.
func lockedBy(name string) error {
	pid, err := os.ReadFile(name)
	if err != nil || len(pid) > 20 {
		return fmt.Errorf("%w: stop it, or choose another directory", ErrInUse)
	}
	return fmt.Errorf("%w (process %s): stop it, or choose another directory", ErrInUse, strings.TrimSpace(string(pid)))
}

// Close gives the directory free.
func (l *dirLock) Close() error { return errors.Join(l.file.Close(), l.dir.Close()) }
