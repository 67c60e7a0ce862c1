package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxFile     = 350 // lines, tests excepted
	maxFunction = 60  // lines, tests excepted
)

// Names of packages that say nothing about what is in them.
var nameless = []string{"base", "common", "helper", "helpers", "manager", "misc", "pkg", "shared", "types", "util", "utils"}

func TestSource(t *testing.T) {
	walkSource(t, func(path string) {
		for _, fault := range faults(t, path, nil) {
			t.Error(fault)
		}
	})
}

// walkSource calls visit for each Go file of the project.
func walkSource(t *testing.T, visit func(path string)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && path != root):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		files++
		visit(path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no source was found")
	}
}

// faults says what is wrong with one file, read from src if that is not nil.
func faults(t *testing.T, path string, src any) (all []string) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	isTest := strings.HasSuffix(path, "_test.go")
	fault := func(n ast.Node, format string, args ...any) {
		all = append(all, fmt.Sprintf("%s: "+format, append([]any{set.Position(n.Pos())}, args...)...))
	}
	lines := func(n ast.Node) int { return set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1 }

	if slices.Contains(nameless, f.Name.Name) {
		fault(f.Name, "%s says nothing about the package", f.Name.Name)
	}
	if n := set.File(f.FileStart).LineCount(); n > maxFile && !isTest {
		fault(f, "%d lines; a file has at most %d", n, maxFile)
	}
	for _, group := range f.Comments {
		for _, word := range []string{"TODO", "FIXME", "XXX"} {
			if strings.Contains(group.Text(), word+":") || strings.Contains(group.Text(), word+"(") {
				fault(group, "%s: finish it", word)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				fault(n, "init: what a package needs, its users give it")
			}
			if l := lines(n); l > maxFunction && !isTest {
				fault(n, "%s has %d lines; a function has at most %d", n.Name.Name, l, maxFunction)
			}
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && fn.Name == "panic" && !isTest {
				fault(n, "panic: return an error")
			}
		}
		return true
	})
	return all
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name, path, src string
		faults          int
	}{
		{"nothing is wrong", "a.go", "package a\n\nfunc f() {}\n", 0},
		{"init", "a.go", "package a\n\nfunc init() {}\n", 1},
		{"a method may be called init", "a.go", "package a\n\nfunc (t *T) init() {}\n", 0},
		{"panic", "a.go", "package a\n\nfunc f() { panic(1) }\n", 1},
		{"a test may panic", "a_test.go", "package a\n\nfunc f() { panic(1) }\n", 0},
		{"a long function", "a.go", "package a\n\nfunc f() {\n" + strings.Repeat("\n", maxFunction) + "}\n", 1},
		{"a long file", "a.go", "package a\n" + strings.Repeat("\n", maxFile), 1},
		{"a long test", "a_test.go", "package a\n" + strings.Repeat("\n", maxFile), 0},
		{"something is left to do", "a.go", "package a\n\n// " + "TODO: all\n", 1},
		{"a package without a name", "a.go", "package util\n", 1},
		{"not Go", "a.go", "pakage a\n", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := faults(t, test.path, test.src); len(got) != test.faults {
				t.Errorf("faults: %q, want %d", got, test.faults)
			}
		})
	}
}
