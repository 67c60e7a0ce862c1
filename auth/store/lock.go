package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A dirLock locks a directory for other processes until it is closed or this process ends.
type dirLock struct {
	dir  *os.File // the locked directory: removing a file in it does not release the lock
	File *os.File // has the id of this process
}

// lockDir locks a directory. The error is ErrInUse if another process has it.
func lockDir(path string) (*dirLock, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(path, lockName)
	// Some network file systems (NFS) do not lock directories: lock the file.
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
	// The id is for the error message of another process. Errors are ignored, so that the
	// daemon starts with a full disk.
	if file.Truncate(0) == nil {
		fmt.Fprintln(file, os.Getpid())
	}
	return l, nil
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// lockedBy returns ErrInUse with the process id in the lock file, if there is one.
func lockedBy(name string) error {
	pid, err := os.ReadFile(name)
	if err != nil || len(pid) > 20 {
		return fmt.Errorf("%w: stop it, or choose another directory", ErrInUse)
	}
	return fmt.Errorf("%w (process %s): stop it, or choose another directory", ErrInUse, strings.TrimSpace(string(pid)))
}

// Close releases the lock.
func (l *dirLock) Close() error { return errors.Join(l.File.Close(), l.dir.Close()) }
