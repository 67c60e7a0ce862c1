package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// TestPlainKey checks that plainKey parses a key as the toml library does, or returns
// nil.
func TestPlainKey(t *testing.T) {
	for _, row := range []struct {
		raw   string
		plain bool
	}{
		{"a", true}, {" a-b_C9 ", true}, {"a.b.c", true}, {`account."joe@example.com"`, true}, {`"joe.x"`, true}, {`a."b c".d`, false},
		{"a . b", false}, {`"a"."b"`, false}, {`"a\u0062"`, false}, {`'a'`, false}, {`a.'b'`, false}, {`a.""`, true}, {`""`, true}, {"1.2", true},
	} {
		key := plainKey(row.raw)
		if (key != nil) != row.plain {
			t.Errorf("%s: %q", row.raw, key)
		}
		md, err := toml.Decode(row.raw+" = 0", &map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		if want := md.Keys()[len(md.Keys())-1]; key != nil && !slices.Equal(key, want) {
			t.Errorf("%s: %q, want %q", row.raw, key, want)
		}
	}
	for _, raw := range []string{"", ".", "a.", "a..b", "a b", `"a`, `a"`, `"a" b"`, "ä"} {
		if key := plainKey(raw); key != nil {
			t.Errorf("%s: %q", raw, key)
		}
	}
}

func TestIndexPositions(t *testing.T) {
	const text = `# a comment with [brackets] and a = 1
top = 1
"quoted = key" = "a # no comment" # a comment
dotted . 'key'.x = 2

[table]  # a comment
multi = """
[not.a.table]
\""" = 3 """""
raw = '''
x = 1
''''
after = 4
array = [ # a comment ]
  "one", [2,
  3],
  { x = 5,
    y.z = '}' },
]

[implied.below]
a = { b = { c = 1 }, "d" = [ { e = 1 } ] }
[implied]
[[list]]
k = 1979-05-27 07:32:00
[list.sub]
k = 1
[[ list ]]
k = '\'
"\u0061\"]" = 1
`
	for _, row := range []struct {
		path string // parts divided by spaces; a number is an array's index
		line int
	}{
		{"top", 2},
		{"quoted_=_key", 3},
		{"dotted", 4},
		{"dotted key", 4},
		{"dotted key x", 4},
		{"table", 6},
		{"table multi", 7},
		{"table raw", 10},
		{"table after", 13},
		{"table array", 14},
		{"table array 0", 15},
		{"table array 1 1", 16},
		{"table array 2", 17},
		{"table array 2 x", 17},
		{"table array 2 y z", 18},
		{"implied", 23},
		{"implied below", 21},
		{"implied below a b c", 22},
		{"implied below a d 0 e", 22},
		{"list 0", 24},
		{"list 0 k", 25},
		{"list 0 sub k", 27},
		{"list 1", 28},
		{"list 1 k", 29},
		{"list 1 a\"]", 30},
		{"table not", 0},
		{"list 2", 0},
		{"nothing of this", 0},
	} {
		p := indexPositions(text)
		for part := range strings.FieldsSeq(row.path) {
			var i int
			if _, err := fmt.Sscanf(part, "%d", &i); err == nil {
				p = p.item(i)
			} else {
				p = p.key(strings.ReplaceAll(part, "_", " "))
			}
		}
		if p.line() != row.line {
			t.Errorf("%s: line %d, want %d", row.path, p.line(), row.line)
		}
	}
}

// FuzzIndexPositions checks that indexPositions never panics, and finds the line of every
// key that the toml library finds.
func FuzzIndexPositions(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.toml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no testdata: %v", err)
	}
	for _, name := range append(files, "../example.toml") {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("a = \"\"\"\"\"\"\nb.'c' = '''x''''' # y\n\"\\\"=\" = [[{x=1,y=[]}],]\r\n[ a . \"b\" ]")
	for _, cut := range []string{"a = [", "a = {", "a = {=", "a = [}", "\"", "[", "[[a]", "a.", "# end", "a = \"\"\"\\"} {
		f.Add(cut)
	}
	f.Add("[[a]]\n[a.b]\n[[a.b.c]]\nd={e.f=1,\n # x\n g={}}\n[[a]]")
	f.Fuzz(func(t *testing.T, text string) {
		root := indexPositions(text)
		values, err := decode(text)
		if err != nil {
			return
		}
		checkPositions(t, values, root, strings.Count(text, "\n")+1, nil)
	})
}

func checkPositions(t *testing.T, v any, p *position, lines int, path toml.Key) {
	if path != nil && (p.line() < 1 || p.line() > lines) {
		t.Fatalf("%s: line %d of %d", path, p.line(), lines)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			checkPositions(t, v[k], p.key(k), lines, append(path, k))
		}
	case []map[string]any:
		for i, e := range v {
			checkPositions(t, e, p.item(i), lines, append(path, "[]"))
		}
	case []any:
		for i, e := range v {
			checkPositions(t, e, p.item(i), lines, append(path, "[]"))
		}
	}
}
