package lint

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// notLinked lists what only tests and the demo need: it must not be in the program.
var notLinked = []string{
	module + "/" + testOnly,
	"github.com/chromedp/",
	"github.com/rogpeppe/go-internal/",
	"github.com/zitadel/",
	"go.uber.org/goleak",
	"testing",
}

func TestProgramIsLinkedFrom(t *testing.T) {
	for path := range strings.Lines(string(run(t, "list", "-deps", "./cmd/xoauthd"))) {
		for _, not := range notLinked {
			if strings.HasPrefix(path, not) {
				t.Errorf("cmd/xoauthd depends on %s", strings.TrimSpace(path))
			}
		}
	}
}

// TestDependenciesAreExplained checks that CONTRIBUTING.md states the purpose of each
// dependency.
func TestDependenciesAreExplained(t *testing.T) {
	contributing, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(contributing), "\n## Dependencies\n")
	if !found {
		t.Fatal("CONTRIBUTING.md has no section Dependencies")
	}
	section, _, _ = strings.Cut(section, "\n## ")

	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(run(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	for _, require := range mod.Require {
		if !require.Indirect && !explains(section, require.Path) {
			t.Errorf("CONTRIBUTING.md, Dependencies: no line says what %s is for", require.Path)
		}
	}
}

// explains reports whether a line of section names the module and says more.
func explains(section, path string) bool {
	for line := range strings.Lines(section) {
		if strings.Contains(line, path) && len(strings.Fields(line)) > 3 {
			return true
		}
	}
	return false
}

// maxProgram is how large the program may be: it goes on small machines too.
const maxProgram = 25 << 20

// TestBuildIsReproducible builds a copy of the source in two folders and compares the
// programs. The second copy has one more comment in each file, so that Go compiles all
// packages of the project again, although the standard library and the dependencies come
// from the cache: that these are reproducible is Go's own promise (-trimpath). A comment
// changes nothing of a program but its build IDs, which depend on the source.
func TestBuildIsReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("two builds take a while")
	}
	if _, err := exec.LookPath("make"); err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatal(err)
		}
		t.Skip("make is not installed")
	}
	first := build(t, "a", "")
	second := build(t, "another/folder", "\n// One more comment.\n")
	if bytes.Equal(first, second) {
		t.Error("the build IDs are equal: nothing was compiled again")
	}
	if !bytes.Equal(withoutBuildIDs(t, first), withoutBuildIDs(t, second)) {
		t.Error("two builds of the same source differ")
	}
	if len(first) > maxProgram {
		t.Errorf("the program is %d bytes, at most %d are allowed", len(first), maxProgram)
	}
	program, err := elf.NewFile(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program is not static")
		}
	}
}

// withoutBuildIDs returns program with zeros in place of its build IDs.
func withoutBuildIDs(t *testing.T, program []byte) []byte {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	program = bytes.Clone(program)
	for _, name := range []string{".note.go.buildid", ".note.gnu.build-id"} {
		if section := file.Section(name); section != nil {
			clear(program[section.Offset:][:section.FileSize])
		}
	}
	return program
}

// build returns the program that make build makes of a copy of the source, to whose Go
// files it appends more.
func build(t *testing.T, folder, more string) []byte {
	t.Helper()
	folder = filepath.Join(t.TempDir(), folder)
	copySource(t, folder)
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(more)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", "build")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(folder, "xoauthd"))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// copySource copies the source into folder, without its history.
func copySource(t *testing.T, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"go.*", "Makefile", ".ci", "auth", "cmd", "config", "internal", "proxy", "systemd"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s is not in the source: %v", pattern, err)
		}
		args := append([]string{"-R"}, append(paths, folder)...)
		if out, err := exec.Command("cp", args...).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
	}
}
