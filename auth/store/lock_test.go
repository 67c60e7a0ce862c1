package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLock lets one store at a time have a directory, also if somebody removes or
// replaces the file that says who that is.
func TestLock(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(lock string) error
		says   string
	}{
		{"unchanged", func(string) error { return nil }, fmt.Sprintf("(process %d)", os.Getpid())},
		{"removed", os.Remove, "in use by another xoauthd: stop it"},
		{"replaced", func(lock string) error {
			return errors.Join(os.WriteFile(lock+".new", []byte("1\n"), 0o600), os.Rename(lock+".new", lock))
		}, "(process 1)"},
		{"of nonsense", func(lock string) error { return os.WriteFile(lock, make([]byte, 1000), 0o600) }, "in use by another xoauthd: stop it"},
	} {
		dir := filepath.Join(t.TempDir(), "state")
		first := openStore(t, dir)
		if err := test.change(filepath.Join(dir, lockName)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Encryption{}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		if second, err := Open(dir, Encryption{}); err != nil {
			t.Errorf("%s, and closed: %v", test.name, err)
		} else if err := second.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLockOfTheFile: where a file system locks no directories, the file is locked.
func TestLockOfTheFile(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := flock(file); err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("the file is locked: %v", err)
	}
}
