// Package faultfs has directories that fail, for tests of a store.
package faultfs

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
)

// Files is the Files of auth/store, which this package must not import.
type Files = interface {
	List() ([]string, error)
	Read(name string) ([]byte, fs.FileInfo, error)
	Create(name string) (File, error)
	Rename(from, to string) error
	Link(from, to string) error
	Remove(name string) error
	Flush(name string) error
	Sync() error
	Close() error
}

// A File is the File of auth/store.
type File = interface {
	io.WriteCloser
	Sync() error
}

// A Faulty directory fails at Step, unless that is empty.
type Faulty struct {
	Files
	Step string
	err  error
}

func (f *Faulty) fails(step string) error {
	if f.Step == step {
		return &fs.PathError{Op: step, Path: "x", Err: f.err}
	}
	return nil
}

// Read fails at the step "read".
func (f *Faulty) Read(name string) ([]byte, fs.FileInfo, error) {
	if err := f.fails("read"); err != nil {
		return nil, nil, err
	}
	return f.Files.Read(name)
}

// Link fails at the step "link".
func (f *Faulty) Link(from, to string) error {
	if err := f.fails("link"); err != nil {
		return err
	}
	return f.Files.Link(from, to)
}

// Create fails at the step "create". The file fails at "write", "short write", "fsync" and
// "close".
func (f *Faulty) Create(name string) (File, error) {
	if err := f.fails("create"); err != nil {
		return nil, err
	}
	inner, err := f.Files.Create(name)
	return &faultyFile{inner, f}, err
}

// Rename fails at the step "rename".
func (f *Faulty) Rename(from, to string) error {
	if err := f.fails("rename"); err != nil {
		return err
	}
	return f.Files.Rename(from, to)
}

// Remove fails at the step "remove".
func (f *Faulty) Remove(name string) error {
	if err := f.fails("remove"); err != nil {
		return err
	}
	return f.Files.Remove(name)
}

// Sync fails at the step "fsync of the folder".
func (f *Faulty) Sync() error { return errors.Join(f.Files.Sync(), f.fails("fsync of the folder")) }

type faultyFile struct {
	File
	of *Faulty
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.of.fails("write"); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	if f.of.Step == "short write" {
		return f.File.Write(b[:len(b)/2])
	}
	return f.File.Write(b)
}

func (f *faultyFile) Sync() error { return errors.Join(f.File.Sync(), f.of.fails("fsync")) }

func (f *faultyFile) Close() error { return errors.Join(f.File.Close(), f.of.fails("close")) }

// Faults are the steps of a write with an error of each.
var Faults = []struct {
	Step string
	Err  error
}{
	{"create", syscall.EROFS},
	{"write", syscall.ENOSPC},
	{"short write", nil},
	{"fsync", syscall.EIO},
	{"close", syscall.EDQUOT},
	{"rename", syscall.EIO},
	{"fsync of the folder", syscall.EIO},
}

// A witness calls note before each step of a write.
type witness struct {
	Files
	note func(step string)
}

func (w witness) Create(name string) (File, error) {
	w.note("create")
	f, err := w.Files.Create(name)
	return witnessed{f, w.note}, err
}

func (w witness) Rename(from, to string) error {
	w.note("rename")
	return w.Files.Rename(from, to)
}

func (w witness) Sync() error {
	w.note("fsync of the folder")
	return w.Files.Sync()
}

type witnessed struct {
	File
	note func(step string)
}

func (f witnessed) Write(b []byte) (int, error) {
	f.note("write")
	n, err := f.File.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	f.note("middle of write")
	m, err := f.File.Write(b[len(b)/2:])
	return n + m, err
}

func (f witnessed) Sync() error { f.note("fsync"); return f.File.Sync() }

func (f witnessed) Close() error { f.note("close"); return f.File.Close() }

// Failing returns f failing at step with err.
func Failing(f Files, step string, err error) *Faulty { return &Faulty{f, step, err} }

// Watch returns f calling note before each step of a write.
func Watch(f Files, note func(step string)) Files { return witness{f, note} }
