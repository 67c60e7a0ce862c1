package auth

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// files is the directory of a Store. Tests have one that fails.
type files interface {
	list() ([]string, error)
	read(name string) ([]byte, fs.FileInfo, error)
	create(name string) (file, error) // empty, with mode 0600
	rename(from, to string) error
	link(from, to string) error // hard link
	remove(name string) error   // no error if it is not there
	flush(name string) error    // fsync of the file
	sync() error                // fsync of the directory
	close() error
}

type file interface {
	io.WriteCloser
	Sync() error
}

// A folder is the real directory. It uses os.Root, so no name or link leads out of it.
// Methods that open a file use a spare descriptor if there is no other.
type folder struct{ *directory }

// maxFile limits the size of a file. An answer of a provider has at most 1 MiB.
const maxFile = 8 << 20

func (d folder) list() ([]string, error) {
	f, err := d.open(".", os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

func (d folder) read(name string) ([]byte, fs.FileInfo, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("not a regular file")
	}
	if info.Size() > maxFile {
		return nil, nil, errors.New("too long to be a grant")
	}
	f, err := d.open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	data := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	_, err = data.ReadFrom(f)
	return data.Bytes(), info, errors.Join(err, f.Close())
}

// create removes an existing file first, so that it opens no link and no pipe.
func (d folder) create(name string) (file, error) {
	if err := d.remove(name); err != nil {
		return nil, err
	}
	return d.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
}

func (d folder) rename(from, to string) error { return d.root.Rename(from, to) }

func (d folder) link(from, to string) error { return d.root.Link(from, to) }

func (d folder) remove(name string) error {
	err := d.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d folder) flush(name string) error {
	f, err := d.open(name, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d folder) sync() error {
	f, err := d.open(".", os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
