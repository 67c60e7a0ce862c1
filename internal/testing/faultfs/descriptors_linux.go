package faultfs

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// UseUpDescriptors leaves this process no free file descriptor until the test ends or restore
// is called.
func UseUpDescriptors(t testing.TB) (restore func()) {
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
