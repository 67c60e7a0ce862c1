package store

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Files is the directory of a Store: its files, by name. It is an alias, as File is, so that
// test helpers need not import this package.
type Files = interface {
	List() ([]string, error)
	Read(name string) ([]byte, fs.FileInfo, error)
	Create(name string) (File, error) // empty, with mode 0600
	Rename(from, to string) error
	Link(from, to string) error // hard link
	Remove(name string) error   // no error if the file does not exist
	Flush(name string) error    // fsync of the file
	Sync() error                // fsync of the directory
	Close() error
}

// A File is a file that is being written.
type File = interface {
	io.WriteCloser
	Sync() error
}

// A folder is the real directory. It uses os.Root, so no name or link leads out of it.
// Methods that open a file use a spare descriptor if there is no other.
type folder struct{ *directory }

// maxFile limits the size of a file. An answer of a provider has at most 1 MiB.
const maxFile = 8 << 20

func (d folder) List() ([]string, error) {
	f, err := d.open(".", os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

func (d folder) Read(name string) ([]byte, fs.FileInfo, error) {
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

// Create removes an existing file first, so that it opens no link and no pipe.
func (d folder) Create(name string) (File, error) {
	if err := d.Remove(name); err != nil {
		return nil, err
	}
	return d.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
}

func (d folder) Rename(from, to string) error { return d.root.Rename(from, to) }

func (d folder) Link(from, to string) error { return d.root.Link(from, to) }

func (d folder) Remove(name string) error {
	err := d.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d folder) Flush(name string) error {
	f, err := d.open(name, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d folder) Sync() error {
	f, err := d.open(".", os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
