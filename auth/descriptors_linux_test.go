package auth

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// useUp takes all file descriptors of this process but those that are in use, until
// the test ends or the function that it returns is called.
func useUp(t *testing.T) (restore func()) {
	t.Helper()
	lowest, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowered := limit
	lowered.Cur = uint64(lowest.Fd())
	lowest.Close()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowered); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Open(os.DevNull); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("there is a descriptor left: %v", err)
	}
	restore = func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) }
	t.Cleanup(restore)
	return restore
}

// TestRefreshWithoutDescriptors checks that a rotated grant is on disk before its
// token is used, though the process has no file descriptor left, and that a damaged
// file is kept.
func TestRefreshWithoutDescriptors(t *testing.T) {
	provider := &rotator{}
	s := &server{}
	a := expired(t, s)
	s.answer = func(n int, form url.Values) (int, string) {
		if r, err := a.store.loadRecord("joe"); err != nil || r.Begun.IsZero() {
			t.Errorf("at the request, the record is %+v, %v", r, err)
		}
		return provider.answer(n, form)
	}
	restore := useUp(t)
	for i := 1; i <= 10; i++ {
		token, err := a.Token(t.Context(), a.grant.AccessToken)
		if want := fmt.Sprintf("token%d", i); token != want || err != nil {
			t.Fatalf("token %q, %v; want %q", token, err, want)
		}
		if a.Unsaved() || onDisk(t, a).RefreshToken != fmt.Sprintf("refresh%d", i) {
			t.Fatalf("not saved: %v, on disk %+v", a.Status().Why, onDisk(t, a))
		}
		a.forced = time.Time{}
	}
	restore()
	path := filepath.Join(a.store.dir, "joe.json")
	writeFile(t, path, "{", 0o600)
	restore = useUp(t)
	if err := a.store.Save("joe", granted(0)); err != nil {
		t.Error(err)
	}
	restore()
	if aside, err := filepath.Glob(path + ".damaged-*"); err != nil || len(aside) != 1 || readFile(t, aside[0]) != "{" {
		t.Errorf("put aside: %q, %v", aside, err)
	}
}

// TestManySaveWithoutDescriptors checks that accounts which save at the same time
// wait for the spare descriptors, and that the store has all of them afterwards.
func TestManySaveWithoutDescriptors(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "state"))
	before := descriptorsOf(t)
	restore := useUp(t)
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
	if d := s.files.(folder).directory; len(d.spares) != spareDescriptors || d.inPlace != 0 {
		t.Errorf("%d spares are open, and %d in use", len(d.spares), d.inPlace)
	}
}

// TestSparesComeBack checks that a store whose spares were taken by others has them
// again when there are descriptors.
func TestSparesComeBack(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "state"))
	d := s.files.(folder).directory
	useUp(t)
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
