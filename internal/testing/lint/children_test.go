package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChildrenAreSupervised checks that every package whose tests start servers or a
// browser calls children.Supervise.
func TestChildrenAreSupervised(t *testing.T) {
	texts := map[string]string{} // the tests of a package, by folder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		texts[filepath.Dir(path)] += string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	supervised := 0
	for folder, text := range texts {
		starts := strings.Contains(text, "exec.Command") && strings.Contains(text, ".Start()") || strings.Contains(text, `"github.com/chromedp/chromedp"`)
		if strings.Contains(text, "children.Supervise()") {
			supervised++
		} else if starts && folder != filepath.Join(root, "internal", "testing", "lint") && folder != filepath.Join(root, "internal", "testing", "children") {
			t.Errorf("the tests of %s start processes: its TestMain must call children.Supervise", folder)
		}
	}
	if supervised < 5 {
		t.Errorf("only %d packages are supervised", supervised)
	}
}
