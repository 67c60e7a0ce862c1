package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
)

// TestManySaveWithoutDescriptors checks that accounts which save at the same time
// wait for the spare descriptors, and that the store has all of them afterwards.
func TestManySaveWithoutDescriptors(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "state"))
	before := descriptorsOf(t)
	restore := faultfs.UseUpDescriptors(t)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			account := fmt.Sprintf("account%d", i)
			for range 4 {
				if err := s.Save(account, granted(0)); err != nil {
					t.Error(err)
				}
				if _, err := s.Load(account); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	restore()
	if after := descriptorsOf(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if d := s.Files.(folder).directory; len(d.spares) != spareDescriptors || d.inPlace != 0 {
		t.Errorf("%d spares are open, and %d in use", len(d.spares), d.inPlace)
	}
}

// TestSparesComeBack checks that a store whose spares were taken by others has them
// again when there are descriptors.
func TestSparesComeBack(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "state"))
	d := s.Files.(folder).directory
	faultfs.UseUpDescriptors(t)
	var taken []*os.File
	for _, spare := range d.spares {
		spare.Close()
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, f)
	}
	d.spares = nil
	if err := s.Save("joe", granted(0)); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("without a descriptor: %v", err)
	}
	for _, f := range taken {
		f.Close()
	}
	for range 2 {
		if err := s.Save("joe", granted(0)); err != nil {
			t.Error(err)
		}
		if len(d.spares) != spareDescriptors {
			t.Errorf("%d spares are open", len(d.spares))
		}
	}
}

// descriptorsOf counts those of this process.
func descriptorsOf(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
