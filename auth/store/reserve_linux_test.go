package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReserveOnFullDisk: the same on a real disk, which others fill.
func TestReserveOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatalf("tmpfs cannot be mounted, and XOAUTHD_E2E=required: %v", err)
		}
		t.Skipf("tmpfs cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	s := openStore(t, filepath.Join(dir, "state"))
	t.Cleanup(func() { s.Close() }) // before the file system goes
	if err := s.Save("joe", granted(time.Hour)); err != nil {
		t.Fatal(err)
	}
	fill := func() {
		f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	fill()
	next := granted(0)
	next.AccessToken = "token1"
	if err := s.Save("joe", next); err != nil || !s.Full() {
		t.Errorf("on a full disk: %v, full: %v", err, s.Full())
	}
	if g, err := s.Load("joe"); err != nil || g.AccessToken != "token1" {
		t.Errorf("on disk %+v, %v", g, err)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	s.reserve.tried = time.Time{}
	if err := s.Save("joe", granted(0)); err != nil || s.Full() {
		t.Errorf("with room again: %v, full: %v", err, s.Full())
	}
}
