package auth

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// A disk is a folder on one that is full but for what the reserve takes up.
type disk struct {
	store.Files
	free int // octets
}

func (d *disk) Create(name string) (store.File, error) {
	f, err := d.Files.Create(name)
	return diskFile{f, d}, err
}

func (d *disk) Remove(name string) error {
	d.gone(name)
	return d.Files.Remove(name)
}

func (d *disk) Rename(from, to string) error {
	d.gone(to)
	return d.Files.Rename(from, to)
}

// gone frees the space of a file.
func (d *disk) gone(name string) {
	if data, _, err := d.Files.Read(name); err == nil {
		d.free += len(data)
	}
}

type diskFile struct {
	store.File
	on *disk
}

func (f diskFile) Write(b []byte) (int, error) {
	n := min(len(b), f.on.free)
	f.on.free -= n
	if n < len(b) {
		f.File.Write(b[:n])
		return n, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	return f.File.Write(b)
}

// TestReserve: on a full disk the reserve is given up for the grants that come,
// the store says so, and the reserve is made again when there is room.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := expired(t, &tokenserver.Server{Answer: tokenserver.Numbered})
		s := a.store
		if s.Full() {
			t.Fatal("a disk with room is full")
		}
		full := &disk{Files: s.Files}
		s.Files = full
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
		full.free = 10 << 20
		time.Sleep(resaveAfter)
		mostUrgent([]*Account{a}, time.Now())
		synctest.Wait()
		if a.Unsaved() {
			t.Error("there is room, and the grant is not saved")
		}
		time.Sleep(time.Minute)
		s.KeepReserve()
		if s.Full() {
			t.Error("there is room, and no reserve")
		}
	})
}
