package auth

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// files is the folder as a Store uses it. A test has one that fails.
type files interface {
	list() ([]string, error)
	read(name string) ([]byte, fs.FileInfo, error)
	create(name string) (file, error) // for this user alone; empty
	rename(from, to string) error
	link(from, to string) error // gives the file a second name
	remove(name string) error   // no error if it is not there
	flush(name string) error    // makes what was written to it survive a loss of power
	sync() error                // makes what was renamed or removed survive a loss of power
	close() error
}

type file interface {
	io.WriteCloser
	Sync() error
}

// A folder is the real one. Through an os.Root no name leads out of it, not
// even that of a link. Of its methods, those that open a file do it by a spare
// descriptor where there is no other.
type folder struct{ *directory }

// maxFile is far above what a provider's answer of 1 MiB can make of a file.
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

// create removes what is there, so that it opens no link and no pipe.
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
