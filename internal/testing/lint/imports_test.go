// Package lint holds the rules of the whole project, as tests: which package
// may import which, what the program is linked from, and what every source file
// keeps to.
package lint

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
	root   = "../../.." // of the module, seen from here
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

// The four parts of the engine. None imports another: internal/daemon connects them.
var engine = []string{"config", "auth", "proxy", "systemd"}

// allowed lists what these packages may import of the project, beside leaves: a dialogue
// imports no other dialogue, and what all of them use imports none.
var allowed = map[string][]string{
	"auth/password":  {},
	"proxy/dial":     {"proxy/wire"},
	"proxy/gateway":  {"proxy/sasl", "proxy/wire"},
	"proxy/imap":     {"proxy/sasl", "proxy/wire"},
	"proxy/smtp":     {"proxy/sasl", "proxy/wire"},
	"proxy/pop3":     {"proxy/sasl", "proxy/wire"},
	"proxy/limit":    {"proxy/peercred"},
	"proxy/peercred": {},
	"proxy/relay":    {"proxy/wire"},
	"proxy/sasl":     {},
	"proxy/wire":     {},
}

// allowedInTests lists what the tests of these packages may import beside that.
var allowedInTests = map[string][]string{
	"proxy/relay": {"proxy/imap", "proxy/smtp", "proxy/pop3"}, // for their trackers
}

// leaves may be imported by all packages. They import nothing of the project.
var leaves = []string{"internal/text", "internal/redact", "internal/exhausted", "internal/step", "internal/panics",
	"internal/expiry", "internal/flow", "internal/pagepath", "internal/shutdown", "internal/storekey"}

const testOnly = "internal/testing/" // packages that only tests and the demo import

// objection explains why the package from may not import the package to; it is empty if
// it may. Both paths are relative to the module.
func objection(from, to string, inTest bool) string {
	top, _, _ := strings.Cut(from, "/")
	other, _, _ := strings.Cut(to, "/")
	list, restricted := allowed[from]
	mayTest := inTest || from == "cmd/xoauthd-demo" || strings.HasPrefix(from, testOnly)
	switch {
	case from == to:
		return "" // an external test of the package
	case slices.Contains(leaves, from):
		return from + " imports nothing of the project"
	case slices.Contains(leaves, to):
		return ""
	case strings.HasPrefix(to, testOnly):
		if !mayTest {
			return testOnly + " is for tests and the demo"
		}
		return ""
	case from == "config" && to == "auth/password":
		return "" // for the formats of password hashes
	case other == "cmd":
		return "commands are not imported"
	case slices.Contains(engine, top) && other != top:
		return "only internal/ connects " + top + " with " + to
	case inTest && slices.Contains(allowedInTests[from], to):
		return ""
	case restricted && !slices.Contains(list, to):
		return fmt.Sprintf("it may import only %q of the project", list)
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

func TestImports(t *testing.T) {
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
	for _, part := range engine {
		if !slices.Contains(seen, part) {
			t.Errorf("there is no package %s: was it renamed?", part)
		}
	}
}

func TestObjection(t *testing.T) {
	tests := []struct {
		name, from, to   string
		inTest, objected bool
	}{
		{"the program imports a part", "cmd/xoauthd", "proxy", false, false},
		{"the wiring imports a part", "internal/daemon", "auth/authorize", false, false},
		{"the program imports the wiring", "cmd/xoauthd", "internal/daemon", false, false},
		{"a part imports another", "auth", "config", false, true},
		{"a part imports the wiring", "proxy", "internal/daemon", false, true},
		{"the configuration imports hash formats", "config", "auth/password", false, false},
		{"the configuration imports more", "config", "auth", false, true},
		{"hash formats import more", "auth/password", "auth", false, true},
		{"a package in a part imports another part", "auth/authorize", "proxy/wire", false, true},
		{"a test of a part imports another", "proxy", "auth", true, true},
		{"a part imports a package in it", "proxy", "proxy/imap", false, false},
		{"a dialogue imports another", "proxy/imap", "proxy/smtp", false, true},
		{"a dialogue imports the sessions", "proxy/smtp", "proxy", false, true},
		{"a dialogue imports the connection", "proxy/pop3", "proxy/wire", false, false},
		{"the connection imports a dialogue", "proxy/wire", "proxy/imap", false, true},
		{"the program imports test servers", "cmd/xoauthd", "internal/testing/idp", false, true},
		{"the wiring imports test servers", "internal/daemon", "internal/testing/idp", false, true},
		{"a test of the program imports test servers", "cmd/xoauthd", "internal/testing/idp", true, false},
		{"a test of a dialogue imports test servers", "proxy/imap", "internal/testing/ca", true, false},
		{"the demo imports test servers", "cmd/xoauthd-demo", "internal/testing/idp", false, false},
		{"a command is imported", "internal/testing/soak", "cmd/xoauthd-demo", true, true},
		{"the outbound dialer imports the sessions", "proxy/dial", "proxy", false, true},
		{"the limits import the sessions", "proxy/limit", "proxy", false, true},
		{"the relay imports the sessions", "proxy/relay", "proxy", false, true},
		{"the relay imports a dialogue", "proxy/relay", "proxy/imap", false, true},
		{"a test of the relay imports a dialogue", "proxy/relay", "proxy/imap", true, false},
		{"a test of the relay imports the sessions", "proxy/relay", "proxy", true, true},
		{"the gateway imports mechanisms", "proxy/gateway", "proxy/sasl", false, false},
		{"the gateway imports the sessions", "proxy/gateway", "proxy", false, true},
		{"a dialogue imports a leaf", "proxy/imap", "internal/text", false, false},
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
