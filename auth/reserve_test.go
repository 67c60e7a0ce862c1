package auth

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A disk is a folder on one that is full but for what the reserve takes up.
type disk struct {
	files
	free int // octets
}

func (d *disk) create(name string) (file, error) {
	f, err := d.files.create(name)
	return diskFile{f, d}, err
}

func (d *disk) remove(name string) error {
	d.gone(name)
	return d.files.remove(name)
}

func (d *disk) rename(from, to string) error {
	d.gone(to)
	return d.files.rename(from, to)
}

// gone frees the room of a file.
func (d *disk) gone(name string) {
	if data, _, err := d.files.read(name); err == nil {
		d.free += len(data)
	}
}

type diskFile struct {
	file
	on *disk
}

func (f diskFile) Write(b []byte) (int, error) {
	n := min(len(b), f.on.free)
	f.on.free -= n
	if n < len(b) {
		f.file.Write(b[:n])
		return n, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	return f.file.Write(b)
}

// TestReserve: on a full disk the reserve is given up for the grants that come,
// the store says so, and the reserve is made again when there is room.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := expired(t, &server{answer: numbered})
		s := a.store
		if s.Full() {
			t.Fatal("a disk with room is full")
		}
		full := &disk{files: s.files}
		s.files = full
		for i := range 3 {
			if token, err := a.Token(t.Context(), ""); token != fmt.Sprintf("token%d", i+1) || err != nil || onDisk(t, a).AccessToken != token {
				t.Errorf("token = %q, %v; on disk %q", token, err, onDisk(t, a).AccessToken)
			}
			if a.Unsaved() || !s.Full() {
				t.Errorf("unsaved: %v, full: %v", a.Unsaved(), s.Full())
			}
			time.Sleep(time.Hour)
		}
		full.free = 0 // another program has taken it
		a.Token(t.Context(), "")
		if !a.Unsaved() || !s.Full() || !strings.Contains(a.Status().Why, "no space left on device") {
			t.Errorf("unsaved: %v, full: %v, %+v", a.Unsaved(), s.Full(), a.Status())
		}
		full.free = 10 * reserveSize
		time.Sleep(resaveAfter)
		mostUrgent([]*Account{a}, time.Now())
		synctest.Wait()
		if a.Unsaved() {
			t.Error("there is room, and the grant is not saved")
		}
		time.Sleep(reserveAfter)
		s.KeepReserve()
		if s.Full() {
			t.Error("there is room, and no reserve")
		}
	})
}
