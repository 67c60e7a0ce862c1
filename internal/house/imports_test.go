// Package house holds the rules of the whole project, as tests: which package
// may import which, what the program is linked from, and what every source file
// keeps to.
package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/xoauthd/xoauthd"
	root   = "../.." // of the module, seen from here
)

// run returns what a command of Go prints, run at the root.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = root, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

// A listedPackage is what go list tells of a package.
type listedPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// The points of the star: cmd imports all of them, and none imports another.
var points = []string{"config", "auth", "proxy", "systemd"}

// What these packages may import of the project: a dialogue knows no other dialogue,
// and what all of them stand on knows none.
var parts = map[string][]string{
	"auth/password":  {},
	"proxy/imap":     {"proxy/sasl", "proxy/wire"},
	"proxy/smtp":     {"proxy/sasl", "proxy/wire"},
	"proxy/pop3":     {"proxy/sasl", "proxy/wire"},
	"proxy/peercred": {},
	"proxy/sasl":     {},
	"proxy/wire":     {},
}

// leaves are the packages of internal that everything may import. They import
// nothing of the project.
var leaves = []string{"internal/text", "internal/redact", "internal/exhausted"}

// objection says why the package from may not import the package to, or nothing.
// Both are relative to the module.
func objection(from, to string, inTest bool) string {
	point, _, _ := strings.Cut(from, "/")
	other, _, _ := strings.Cut(to, "/")
	part, isPart := parts[from]
	demo := from == "cmd/xoauthd-demo" || strings.HasPrefix(from, "cmd/xoauthd-demo/")
	switch {
	case from == to:
		return "" // a test of its own package, seen from outside
	case slices.Contains(leaves, from):
		return from + " imports nothing of the project"
	case slices.Contains(leaves, to):
		return ""
	case other == "internal" && !inTest && point != "internal" && !demo:
		return "internal is for tests and the demo"
	case other == "internal":
		return ""
	case from == "config" && to == "auth/password":
		return "" // which says what a password hash is
	case point != other && slices.Contains(points, point) && slices.Contains(points, other):
		return "only cmd brings " + point + " and " + other + " together"
	case isPart && !slices.Contains(part, to):
		return fmt.Sprintf("of the project, it may import only %q", part)
	}
	return ""
}

// objections says what is wrong with the imports of p.
func objections(p listedPackage) (all []string) {
	from := strings.TrimPrefix(p.ImportPath, module+"/")
	check := func(imports []string, inTest bool) {
		for _, path := range imports {
			to, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			if why := objection(from, to, inTest); why != "" {
				all = append(all, fmt.Sprintf("%s imports %s: %s", from, to, why))
			}
		}
	}
	check(p.Imports, false)
	check(p.TestImports, true)
	check(p.XTestImports, true)
	return all
}

func TestStar(t *testing.T) {
	// -e, as a package that does not compile still has imports.
	list := json.NewDecoder(bytes.NewReader(run(t, "list", "-e",
		"-json=ImportPath,Imports,TestImports,XTestImports", "./...")))
	var seen []string
	for {
		var p listedPackage
		if err := list.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, strings.TrimPrefix(p.ImportPath, module+"/"))
		for _, o := range objections(p) {
			t.Error(o)
		}
	}
	for _, point := range points {
		if !slices.Contains(seen, point) {
			t.Errorf("there is no package %s: has it another name now?", point)
		}
	}
}

func TestObjection(t *testing.T) {
	tests := []struct {
		name, from, to   string
		inTest, objected bool
	}{
		{"the program imports a point", "cmd/xoauthd", "proxy", false, false},
		{"what the programs share imports a point", "cmd/internal/daemon", "auth/authorize", false, false},
		{"a point imports another", "auth", "config", false, true},
		{"the configuration imports what a hash is", "config", "auth/password", false, false},
		{"the configuration imports more", "config", "auth", false, true},
		{"what a hash is imports more", "auth/password", "auth", false, true},
		{"what is below a point imports another", "auth/authorize", "proxy/wire", false, true},
		{"a test of a point imports another", "proxy", "auth", true, true},
		{"a point imports what is below it", "proxy", "proxy/imap", false, false},
		{"a dialogue imports another", "proxy/imap", "proxy/smtp", false, true},
		{"a dialogue imports what is above it", "proxy/smtp", "proxy", false, true},
		{"a dialogue imports the wire", "proxy/pop3", "proxy/wire", false, false},
		{"the wire imports a dialogue", "proxy/wire", "proxy/imap", false, true},
		{"the program imports internal", "cmd/xoauthd", "internal/idp", false, true},
		{"what the programs share imports internal", "cmd/internal/daemon", "internal/idp", false, true},
		{"a test of the program imports internal", "cmd/xoauthd", "internal/idp", true, false},
		{"a test of a dialogue imports internal", "proxy/imap", "internal/ca", true, false},
		{"the demo imports internal", "cmd/xoauthd-demo", "internal/idp", false, false},
		{"everything imports a leaf", "proxy/imap", "internal/text", false, false},
		{"a leaf imports something", "internal/redact", "internal/text", false, true},
		{"a test imports its own package", "proxy/wire", "proxy/wire", true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := listedPackage{ImportPath: module + "/" + test.from, Imports: []string{"fmt", module + "/" + test.to}}
			if test.inTest {
				p = listedPackage{ImportPath: p.ImportPath, XTestImports: p.Imports}
			}
			if got := objections(p); (len(got) > 0) != test.objected {
				t.Errorf("objections: %q", got)
			}
		})
	}
}
