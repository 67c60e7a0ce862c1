package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLogAttributes checks that the table of docs/logging.md has every attribute that
// the program logs, and no other.
func TestLogAttributes(t *testing.T) {
	_, section, found := strings.Cut(readDocument(t, "docs/logging.md"), "\n## Attributes\n")
	if !found {
		t.Fatal("docs/logging.md has no section Attributes")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	documented := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| ((?:`\\w+`(?:, )?)+) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range strings.Split(m[1], ", ") {
			documented[strings.Trim(name, "`")] = true
		}
	}
	logged := make(map[string]bool)
	walkSource(t, func(path string) {
		if !inProgram(path) {
			return
		}
		l := readLogging(path, nil)
		for _, fault := range l.faults {
			t.Error(fault)
		}
		for key, position := range l.keys {
			logged[key] = true
			if !documented[key] {
				t.Errorf("%s: the attribute %s is not in docs/logging.md, Attributes", position, key)
			}
		}
	})
	for _, key := range slices.Sorted(maps.Keys(documented)) {
		if !logged[key] {
			t.Errorf("docs/logging.md, Attributes: nothing logs %s", key)
		}
	}
}

// inProgram reports whether the file at path is part of xoauthd.
func inProgram(path string) bool {
	folder := filepath.ToSlash(filepath.Dir(path)) + "/"
	return !strings.HasSuffix(path, "_test.go") && !strings.Contains(folder, "/internal/testing/") && !strings.Contains(folder, "/cmd/xoauthd-demo/")
}

// logging is what a file logs.
type logging struct {
	set    *token.FileSet
	keys   map[string]token.Position // attributes, and where one is
	faults []string
}

// readLogging finds the log attributes and messages of a file, which is read from src
// unless that is nil. It knows these forms:
//
//   - slog.String("key", …), and the other constructors of attributes;
//   - log.Info("message", "key", …), for all methods that log, and log.With("key", …); the
//     logger has a name that ends in "log", or the message is a literal;
//   - attrs := []any{"key", …} and append(attrs, "key", …), for attrs that a call passes on;
//   - slog.String(key, …) in a local function whose calls begin with a literal key, and
//     slog.String(x.key, …) where the function has a list of structs with that field.
func readLogging(path string, src any) *logging {
	l := &logging{set: token.NewFileSet(), keys: make(map[string]token.Position)}
	f, err := parser.ParseFile(l.set, path, src, parser.SkipObjectResolution)
	if err != nil {
		l.faults = append(l.faults, err.Error())
		return l
	}
	for _, d := range f.Decls {
		ast.Inspect(d, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				l.readCall(d, call)
			}
			return true
		})
	}
	return l
}

// readCall reads a call in the declaration d.
func (l *logging) readCall(d ast.Decl, call *ast.CallExpr) {
	fn, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	if pkg, ok := fn.X.(*ast.Ident); ok && pkg.Name == "slog" {
		if slices.Contains([]string{"String", "Int", "Int64", "Uint64", "Float64", "Bool", "Time", "Duration", "Any", "Group"}, fn.Sel.Name) {
			l.addKeys(d, call.Args[0])
		}
		return
	}
	_, isVariable := fn.X.(*ast.Ident)
	begins := len(call.Args) > 0 && isText(call.Args[0]) && fn.Sel.Name != "With" // with a message
	if !isLog(fn.X) && !(isVariable && begins) {
		return
	}
	message := map[string]int{"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "With": -1,
		"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1, "Log": 2, "LogAttrs": 2}
	at, logs := message[fn.Sel.Name]
	if !logs || len(call.Args) <= at {
		return
	}
	if at >= 0 && !isConstant(d, call.Args[at]) {
		l.fault(call, "the message of a log line is constant; put what varies into attributes")
	}
	if call.Ellipsis.IsValid() {
		l.addList(d, call.Args[len(call.Args)-1])
		return
	}
	l.addPairs(d, call.Args[at+1:])
}

// isText reports whether e is a string literal.
func isText(e ast.Expr) bool {
	literal, ok := e.(*ast.BasicLit)
	return ok && literal.Kind == token.STRING
}

// isLog reports whether e is a logger, by its name: log, Log, x.log, metricsLog.
func isLog(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return strings.HasSuffix(strings.ToLower(e.Name), "log")
	case *ast.SelectorExpr:
		return isLog(e.Sel)
	}
	return false
}

// isConstant reports whether e is a literal, or a variable of the declaration d to which
// only literals are assigned.
func isConstant(d ast.Decl, e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	if !ok {
		return isText(e)
	}
	assigned, constant := false, true
	ast.Inspect(d, func(n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		if !ok {
			return true
		}
		for i, to := range assign.Lhs {
			if to, ok := to.(*ast.Ident); ok && to.Name == name.Name {
				assigned = true
				constant = constant && len(assign.Lhs) == len(assign.Rhs) && isText(assign.Rhs[i])
			}
		}
		return true
	})
	return assigned && constant
}

// addPairs adds the keys of args, which are slog.Attr values, or keys and values.
func (l *logging) addPairs(d ast.Decl, args []ast.Expr) {
	for i := 0; i < len(args); i++ {
		if _, ok := args[i].(*ast.CallExpr); ok {
			continue // a constructor, which is read by itself
		}
		l.addKeys(d, args[i])
		i++ // its value
	}
}

// addKeys adds the key e, or all keys that e can be.
func (l *logging) addKeys(d ast.Decl, e ast.Expr) {
	before := len(l.keys)
	known := false
	switch e := e.(type) {
	case *ast.BasicLit:
		known = l.addKey(e)
	case *ast.Ident: // a parameter of a local function
		ast.Inspect(d, func(n ast.Node) bool {
			assign, ok := n.(*ast.AssignStmt)
			if !ok || len(assign.Rhs) != 1 {
				return true
			}
			if fn, ok := assign.Rhs[0].(*ast.FuncLit); ok && firstParameter(fn) == e.Name {
				known = l.addCalls(d, assign.Lhs[0]) || known
			}
			return true
		})
	case *ast.SelectorExpr: // a field of a list of structs
		ast.Inspect(d, func(n ast.Node) bool {
			list, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if at := fieldOf(list.Type, e.Sel.Name); at >= 0 {
				for _, element := range list.Elts {
					if row, ok := element.(*ast.CompositeLit); ok && at < len(row.Elts) {
						known = l.addKey(row.Elts[at]) || known
					}
				}
			}
			return true
		})
	}
	if !known && len(l.keys) == before {
		l.fault(e, "the key of a log attribute cannot be found: write it as a literal")
	}
}

// addKey adds e if it is a literal.
func (l *logging) addKey(e ast.Expr) bool {
	if !isText(e) {
		return false
	}
	key, err := strconv.Unquote(e.(*ast.BasicLit).Value)
	if err == nil {
		l.keys[key] = l.set.Position(e.Pos())
	}
	return err == nil
}

// addCalls adds the first arguments of the calls of a local function.
func (l *logging) addCalls(d ast.Decl, name ast.Expr) (known bool) {
	function, ok := name.(*ast.Ident)
	if !ok {
		return false
	}
	ast.Inspect(d, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 0 {
			if called, ok := call.Fun.(*ast.Ident); ok && called.Name == function.Name {
				known = l.addKey(call.Args[0]) || known
			}
		}
		return true
	})
	return known
}

// addList adds the keys of the slice e, a variable of the declaration d or a call.
func (l *logging) addList(d ast.Decl, e ast.Expr) {
	list, ok := e.(*ast.Ident)
	if !ok {
		return // append or a function: their attributes are read by themselves
	}
	ast.Inspect(d, func(n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		if !ok || len(assign.Lhs) != 1 || len(assign.Rhs) != 1 {
			return true
		}
		if to, ok := assign.Lhs[0].(*ast.Ident); !ok || to.Name != list.Name {
			return true
		}
		switch value := assign.Rhs[0].(type) {
		case *ast.CompositeLit:
			if array, ok := value.Type.(*ast.ArrayType); ok {
				if element, ok := array.Elt.(*ast.Ident); ok && element.Name == "any" {
					l.addPairs(d, value.Elts)
				}
			}
		case *ast.CallExpr:
			if fn, ok := value.Fun.(*ast.Ident); ok && fn.Name == "append" && !value.Ellipsis.IsValid() {
				l.addPairs(d, value.Args[1:])
			}
		}
		return true
	})
}

func (l *logging) fault(n ast.Node, text string) {
	l.faults = append(l.faults, fmt.Sprintf("%s: %s", l.set.Position(n.Pos()), text))
}

// firstParameter returns the name of the first parameter of fn.
func firstParameter(fn *ast.FuncLit) string {
	if list := fn.Type.Params.List; len(list) > 0 && len(list[0].Names) > 0 {
		return list[0].Names[0].Name
	}
	return ""
}

// fieldOf returns the index of a field of the structs of a slice type, or -1.
func fieldOf(list ast.Expr, name string) int {
	slice, ok := list.(*ast.ArrayType)
	if !ok {
		return -1
	}
	row, ok := slice.Elt.(*ast.StructType)
	if !ok {
		return -1
	}
	at := 0
	for _, field := range row.Fields.List {
		for _, n := range field.Names {
			if n.Name == name {
				return at
			}
			at++
		}
	}
	return -1
}

func TestReadLogging(t *testing.T) {
	tests := []struct {
		name, body string
		keys       string
		faults     int
	}{
		{"pairs", `log.Info("m", "a", 1, "b", 2)`, "a b", 0},
		{"constructors", `x.log.Warn("m", slog.Int("a", 1), "b", 2, slog.Any("c", nil))`, "a b c", 0},
		{"with", `log = d.Log.With("a", 1)`, "a", 0},
		{"LogAttrs", `s.Log.LogAttrs(ctx, level, "m", slog.Int("a", 1))`, "a", 0},
		{"a list", `attrs := []any{"a", 1}; attrs = append(attrs, "b", 2); log.Info("m", attrs...)`, "a b", 0},
		{"a list of attributes", `attrs := []slog.Attr{slog.Int("a", 1)}; log.LogAttrs(ctx, level, "m", attrs...)`, "a", 0},
		{"a local function", `text := func(key, value string) { attrs = append(attrs, slog.String(key, value)) }; text("a", b); text("b", c)`, "a b", 0},
		{"a list of structs", `for _, a := range []struct{ value, key string }{{x, "a"}, {y, "b"}} { attrs = append(attrs, slog.String(a.key, a.value)) }`, "a b", 0},
		{"an unknown key", `log.Info("m", key, 1)`, "", 1},
		{"an unknown key of a constructor", `x = slog.String(key(), "a")`, "", 1},
		{"a message that varies", `log.Info(err.Error(), "a", 1)`, "a", 1},
		{"a message that is put together", `log.Info("m "+name)`, "", 1},
		{"one of two messages", `what := "m"; if x { what = "n" }; log.Info(what, "a", 1)`, "a", 0},
		{"one of two messages, together", `what, y := "m", z; log.Info(what, "a", 1)`, "a", 0},
		{"one of two, and one that varies", `what := "m"; if x { what = y }; log.Info(what, "a", 1)`, "a", 1},
		{"a message of the caller", `log.Info(what, "a", 1)`, "a", 1},
		{"no log", `http.Error(w, text, 500); x := err.Error(); s.secrets.Error(err)`, "", 0},
		{"an embedded logger", `l.Error("m", "a", 1)`, "a", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := readLogging("a.go", "package a\n\nfunc f() { "+test.body+" }\n")
			if got := strings.Join(slices.Sorted(maps.Keys(l.keys)), " "); got != test.keys || len(l.faults) != test.faults {
				t.Errorf("keys %q, want %q; faults %q, want %d", got, test.keys, l.faults, test.faults)
			}
		})
	}
}

// TestResultsDocumented checks that docs/replies.md has every result of a session: the
// constants of the type Result in package proxy, which log and metrics use.
func TestResultsDocumented(t *testing.T) {
	document := readDocument(t, "docs/replies.md")
	results := 0
	walkSource(t, func(path string) {
		if filepath.ToSlash(filepath.Dir(path)) != root+"/proxy" || strings.HasSuffix(path, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != "Result" {
				return true
			}
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			results++
			if !strings.Contains(document, "\n- `"+value+"`: ") && !strings.Contains(document, " | `"+value+"` | ") {
				t.Errorf("docs/replies.md does not have the result %s", value)
			}
			return true
		})
	})
	if results < 10 {
		t.Errorf("only %d results were found", results)
	}
}
