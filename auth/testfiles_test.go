package auth

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func copyPrivate(t *testing.T, to, from string) {
	t.Helper()
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		writeFile(t, filepath.Join(to, e.Name()), readFile(t, filepath.Join(from, e.Name())), 0o600)
	}
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func stateDir(t *testing.T) string { return filepath.Join(t.TempDir(), "state") }

func isTemporary(name string) bool { return strings.HasSuffix(name, ".tmp") }
