package lint

import (
	"bytes"
	"debug/elf"
	"encoding/json"
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

// Everything that the program brings along is told to those who have to trust
// it, with the reason.
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

// Whoever builds the same source gets the same program, wherever it lies and
// whatever was built before.
func TestBuildIsReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("two builds take a while")
	}
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	first := build(t, "a", nil)
	second := build(t, "another/folder", []string{"GOCACHE=" + t.TempDir()})
	if !bytes.Equal(first, second) {
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

// build returns the program that make build makes of a copy of the source.
func build(t *testing.T, folder string, env []string) []byte {
	t.Helper()
	folder = filepath.Join(t.TempDir(), folder)
	copySource(t, folder)
	cmd := exec.Command("make", "build")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), env...)
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
