package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCorpora checks that each corpus belongs to a function of its package: "go test" does
// not report a corpus that no function uses.
func TestCorpora(t *testing.T) {
	corpora := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		folder := filepath.Dir(path)
		if filepath.Base(folder) != "fuzz" || filepath.Base(filepath.Dir(folder)) != "testdata" {
			return nil
		}
		corpora++
		if !hasFuzzTarget(t, filepath.Dir(filepath.Dir(folder)), d.Name()) {
			t.Errorf("%s: the package has no function %s", path, d.Name())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if corpora == 0 {
		t.Fatal("no corpus was found")
	}
}

// hasFuzzTarget reports whether a test file in folder has a fuzz target with that name.
func hasFuzzTarget(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(f *testing.F)") {
			return true
		}
	}
	return false
}
