package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGoVersion holds go.mod to the lowest Go that works: that of the dependency
// which needs the newest.
func TestGoVersion(t *testing.T) {
	highest, of := "", ""
	ours := ""
	list := json.NewDecoder(bytes.NewReader(run(t, "list", "-deps", "-json=Module", "./...")))
	for {
		var p struct {
			Module *struct {
				Path, GoVersion string
				Main            bool
			}
		}
		if err := list.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch m := p.Module; {
		case m == nil:
		case m.Main:
			ours = m.GoVersion
		case version.Compare("go"+m.GoVersion, "go"+highest) > 0:
			highest, of = m.GoVersion, m.Path
		}
	}
	if ours != highest {
		t.Errorf("go.mod names Go %s, and the dependencies need %s, which %s has", ours, highest, of)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if language := strings.TrimPrefix(version.Lang("go"+ours), "go"); !strings.Contains(string(readme), "Go "+language) {
		t.Errorf("README.md does not name Go %s", language)
	}
}

// TestMakeExplainsGo runs make with a Go that is too old, and without any.
func TestMakeExplainsGo(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Fatal("make is not installed")
	}
	for _, row := range []struct{ name, version, toolchain, want string }{
		{"Debian 12", "go version go1.19.8 linux/amd64", "", "this is go1.19.8."},
		{"none", "", "", "Go is not installed."},
		{"local", "go version go1.24.4 linux/amd64", "local", "this is go1.24.4, which GOTOOLCHAIN=local keeps from fetching it."},
		{"fetches", "go version go1.24.4 linux/amd64", "auto", ""},
		{"current", "go version go1.99 linux/amd64", "local", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			bin := t.TempDir()
			script := fmt.Sprintf("#!/bin/sh\ncase $1 in\nversion) echo %q;;\nenv) echo %q;;\nesac\n", row.version, row.toolchain)
			if row.version == "" {
				script = "#!/bin/sh\nexit 127\n"
			}
			if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("make", "--no-print-directory", "need-go")
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=0", "PATH="+bin+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if row.want == "" {
				if err != nil || len(out) > 0 {
					t.Errorf("%v\n%s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), row.want) || !strings.Contains(string(out), "apt-get install -t bookworm-backports golang-go") {
				t.Errorf("%v\n%s\nwant: %s", err, out, row.want)
			}
		})
	}
}
