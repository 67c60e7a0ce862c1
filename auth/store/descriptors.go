package store

import (
	"os"
	"sync"

	"github.com/xoauthd/xoauthd/internal/exhausted"
)

// spareDescriptors is how many files of a store can be open at a time when the
// process has no other file descriptor. Saving a grant opens one at a time.
const spareDescriptors = 4

// A directory opens files below root. It has file descriptors in reserve: a rotated
// grant must be saved also when the process has none left, as otherwise a restart
// would lose it.
type directory struct {
	root *os.Root

	// mu is held for reading while a file is opened, and for writing while one takes
	// the place of a spare: no other goroutine of the store gets its descriptor then.
	mu       sync.RWMutex
	returned sync.Cond  // signals that a file in the place of a spare was closed
	spares   []*os.File // open, and of no other use
	inPlace  int        // files in the place of spares
	closed   bool
}

func newDirectory(root *os.Root) *directory {
	d := &directory{root: root}
	d.returned.L = &d.mu
	d.fill()
	return d
}

// fill opens the spares that are missing, as far as there are descriptors. Any file
// will do; this one is always there. The caller holds mu, or has the only reference.
func (d *directory) fill() {
	for !d.closed && len(d.spares)+d.inPlace < spareDescriptors {
		spare, err := d.root.Open(".")
		if err != nil {
			return
		}
		d.spares = append(d.spares, spare)
	}
}

// A storeFile is an open file of a directory.
type storeFile struct {
	*os.File
	dir     *directory
	inPlace bool // of a spare
}

// open opens a file, in the place of a spare if there is no other descriptor. It waits
// while other files have all of those. The caller must close the file before it opens
// another.
func (d *directory) open(name string, flag int, mode os.FileMode) (*storeFile, error) {
	d.mu.RLock()
	f, err := d.root.OpenFile(name, flag, mode)
	d.mu.RUnlock()
	switch {
	case err == nil:
		return &storeFile{f, d, false}, nil
	case !exhausted.Files(err):
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for exhausted.Files(err) {
		for len(d.spares) == 0 && d.inPlace > 0 {
			d.returned.Wait()
		}
		if len(d.spares) == 0 {
			return nil, err
		}
		last := len(d.spares) - 1
		d.spares[last].Close()
		d.spares = d.spares[:last]
		// If a connection gets the descriptor first, the next spare has its turn.
		if f, err = d.root.OpenFile(name, flag, mode); err == nil {
			d.inPlace++
			return &storeFile{f, d, true}, nil
		}
	}
	d.fill()
	return nil, err
}

// Close closes the file, and opens the spares that are missing.
func (f *storeFile) Close() error {
	d := f.dir
	if !f.inPlace {
		err := f.File.Close()
		if d.mu.TryLock() { // otherwise another file does it
			d.fill()
			d.mu.Unlock()
		}
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := f.File.Close()
	d.inPlace--
	d.fill()
	d.returned.Broadcast()
	return err
}

// Close closes the spares and the root. It may be called again.
func (d *directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, spare := range d.spares {
		spare.Close()
	}
	d.spares = nil
	return d.root.Close()
}
