package gateway

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestRepliesDocumented checks that docs/sending-by-api.md has each Kind, and for each error
// of an API its reply.
func TestRepliesDocumented(t *testing.T) {
	document, err := os.ReadFile("../../docs/sending-by-api.md")
	if err != nil {
		t.Fatal(err)
	}
	replies := map[Kind]string{}
	for line := range strings.Lines(string(document)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			kind := Kind(strings.Trim(cells[2], " `"))
			replies[kind] += cells[3]
		}
	}
	for _, kind := range kinds(t) {
		if replies[kind] == "" {
			t.Errorf("the table of replies has no result %s", kind)
		}
	}
	for _, table := range [][]Failure{GraphFailures, GmailFailures} {
		for _, f := range table {
			if !strings.Contains(replies[f.Kind], string(f.Reply)) {
				t.Errorf("the table of replies has no %s for %s", f.Reply, f.Kind)
			}
		}
	}
}

// kinds returns the constants of type Kind.
func kinds(t *testing.T) (all []Kind) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "deliver.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Kind" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, Kind(value))
		}
		return true
	})
	if len(all) < 10 {
		t.Fatalf("deliver.go has the kinds %q", all)
	}
	return all
}
