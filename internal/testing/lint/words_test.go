package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// privateNouns are words that earlier versions of this project used for things that
// have a name in the field: an activity timer, a limit, a waiter, a known reply. Names
// and comments use the field's name. The list has singular forms; plural forms count too.
var privateNouns = []string{
	"crowd", "door", "ebb", "herd", "house", "lookout", "mint", "room", "saying",
	"stranger", "tape", "ticket", "tide", "veil", "world",
}

// ordinary are phrases in which these words have their ordinary meaning. Quoted text is
// not checked either.
var ordinary = regexp.MustCompile(`"[^"]*"|` +
	`\b(ticket systems?|session tickets?|world-(readable|writable))\b|` + // OTRS and others; TLS; modes of files
	`\b(make|makes|made|making|is|was|no|enough|has|have|with|frees) room\b|` + // space
	`\b(without|by) saying\b`)

// ordinaryNames are identifiers in which they have it.
var ordinaryNames = []string{"makeRoom", "sessionTickets"}

// These patterns find "who" and "whom" that have an antecedent or ask a question. The
// antecedent is a noun for a person or a program, directly before the pronoun or its
// preposition. The question depends on a verb of saying or knowing ("reports who
// revoked the grant"). What remains is a headless pronoun: "who waits", "those who
// wait", "whoever waits". A noun has to replace it.
var (
	pronoun = regexp.MustCompile(`(?i)\b(who|whom|whoever|whomever)\b`)
	hasHead = regexp.MustCompile(`(?i)\b(` + strings.Join([]string{
		"persons?", "people", "users?", "administrators?", "admins?", "operators?", "owners?", "attackers?",
		"readers?", "senders?", "recipients?", "visitors?", "developers?", "employees?", "client", "clients",
		"somebody", "someone", "anybody", "anyone", "everybody", "everyone", "nobody",
	}, "|") + `),?( (for|to|by|with|of|from|on))? who(m)?\b`)
	isQuestion = regexp.MustCompile(`(?i)\b(says?|said|knows?|known|asks?|asked|decides?|records?|reports?|shows?|tells?|states?|logs?|depends on)( by| to)? whom?\b`)
)

// wellKnown are methods whose contract is that of an interface of the standard library.
var wellKnown = []string{"Error", "Unwrap", "Is", "As", "String", "ServeHTTP"}

// TestWords checks names and comments of all packages.
func TestWords(t *testing.T) {
	walkSource(t, func(path string) {
		if filepath.Base(path) == "words_test.go" { // which has the words themselves
			return
		}
		for _, fault := range wordFaults(path, nil) {
			t.Error(fault)
		}
	})
}

// wordFaults returns what is wrong with the words of a file, which is read from src
// unless that is nil.
func wordFaults(path string, src any) (all []string) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	fault := func(pos token.Pos, format string, args ...any) {
		all = append(all, fmt.Sprintf("%s: "+format, append([]any{set.Position(pos)}, args...)...))
	}
	for _, part := range strings.Split(strings.TrimSuffix(filepath.Base(path), ".go"), "_") {
		if isPrivate(part) {
			fault(f.FileStart, "the file is named after %q", part)
		}
	}
	for _, name := range declared(f) {
		for _, word := range wordsOf(name.Name) {
			if isPrivate(word) && !slices.Contains(ordinaryNames, name.Name) {
				fault(name.Pos(), "%s has the private word %q", name.Name, word)
			}
		}
	}
	for _, group := range f.Comments {
		text := strings.Join(strings.Fields(group.Text()), " ")
		for _, word := range strings.FieldsFunc(ordinary.ReplaceAllString(text, ""), func(r rune) bool { return !unicode.IsLetter(r) }) {
			if isPrivate(word) {
				fault(group.Pos(), "the comment has the private word %q", word)
			}
		}
		if p := headlessPronoun(text); p != "" {
			fault(group.Pos(), "%q refers to no noun: name the person or program", p)
		}
	}
	if !strings.HasSuffix(path, "_test.go") {
		for _, e := range undocumented(f) {
			fault(e.Pos(), "the doc comment of %s does not start with its name", e.Name)
		}
	}
	return all
}

// isPrivate reports whether word is a private noun, or its plural.
func isPrivate(word string) bool {
	word = strings.ToLower(word)
	return slices.Contains(privateNouns, word) || slices.Contains(privateNouns, strings.TrimSuffix(word, "s"))
}

// headlessPronoun returns the first pronoun of text that refers to no noun, with the
// words around it; it is empty if there is none.
func headlessPronoun(text string) string {
	for _, accepted := range []*regexp.Regexp{regexp.MustCompile(`"[^"]*"`), hasHead, isQuestion} {
		text = accepted.ReplaceAllString(text, "")
	}
	at := pronoun.FindStringIndex(text)
	if at == nil {
		return ""
	}
	return text[max(0, at[0]-10):min(len(text), at[1]+15)]
}

// wordsOf returns the words of an identifier: of "readMailHTTP", "read", "Mail" and
// "HTTP".
func wordsOf(name string) (words []string) {
	start := 0
	runes := []rune(name)
	for i := 1; i <= len(runes); i++ {
		if i == len(runes) || unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]) || !unicode.IsLetter(runes[i]) {
			words = append(words, strings.Trim(string(runes[start:i]), "_0123456789"))
			start = i
		}
	}
	return words
}

// declared returns the identifiers that f declares.
func declared(f *ast.File) (names []*ast.Ident) {
	add := func(list ...ast.Expr) {
		for _, e := range list {
			if name, ok := e.(*ast.Ident); ok && name != nil {
				names = append(names, name)
			}
		}
	}
	names = append(names, f.Name)
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			add(n.Name)
		case *ast.TypeSpec:
			add(n.Name)
		case *ast.ValueSpec:
			names = append(names, n.Names...)
		case *ast.Field:
			names = append(names, n.Names...)
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				add(n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(n.Key, n.Value)
			}
		case *ast.ImportSpec:
			if n.Name != nil {
				add(n.Name)
			}
		case *ast.LabeledStmt:
			add(n.Label)
		}
		return true
	})
	return names
}

// undocumented returns the exported functions, types, methods of exported types (except
// the well-known ones), variables and constants whose doc comment is missing or does not
// start with their name. An article may precede the name. In a group of variables or constants, the
// group's comment or one at the end of the line is enough.
func undocumented(f *ast.File) (names []*ast.Ident) {
	if f.Name.Name == "main" {
		return nil // a command exports nothing
	}
	check := func(doc *ast.CommentGroup, name *ast.Ident) {
		text := doc.Text()
		for _, article := range []string{"A ", "An ", "The "} {
			text = strings.TrimPrefix(text, article)
		}
		rest, ok := strings.CutPrefix(text, name.Name)
		if name.IsExported() && (!ok || rest == "" || unicode.IsLetter(rune(rest[0])) || unicode.IsDigit(rune(rest[0]))) {
			names = append(names, name)
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || receiverIsExported(d.Recv.List[0].Type) && !slices.Contains(wellKnown, d.Name.Name) {
				check(d.Doc, d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					doc := s.Doc
					if doc == nil && !d.Lparen.IsValid() {
						doc = d.Doc
					}
					check(doc, s.Name)
				case *ast.ValueSpec:
					if d.Lparen.IsValid() {
						for _, name := range s.Names {
							if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
								names = append(names, name)
							}
						}
					} else {
						check(d.Doc, s.Names[0])
					}
				}
			}
		}
	}
	return names
}

// receiverIsExported reports whether a method with a receiver of type e is one of an
// exported type.
func receiverIsExported(e ast.Expr) bool {
	exported := false
	ast.Inspect(e, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok && !exported {
			exported = name.IsExported()
			return false
		}
		return true
	})
	return exported
}

func TestWordFaults(t *testing.T) {
	tests := []struct {
		name, path, src string
		faults          int
	}{
		{"nothing is wrong", "a.go", "package a\n\n// f waits for the user who confirms.\nfunc f() {}\n", 0},
		{"a headless pronoun", "a.go", "package a\n\n// f waits for who confirms.\nfunc f() {}\n", 1},
		{"one across lines", "a.go", "package a\n\n// f waits for those\n// who confirm.\nfunc f() {}\n", 1},
		{"one at the start", "a.go", "package a\n\n// Whoever waits is told.\nfunc f() {}\n", 1},
		{"one far from its noun", "a.go", "package a\n\n// f tells the user of the pages who waits.\nfunc f() {}\n", 1},
		{"one with a preposition", "a.go", "package a\n\n// f is the user for whom to wait.\nfunc f() {}\n", 0},
		{"a question", "a.go", "package a\n\n// f reports who revoked the grant.\nfunc f() {}\n", 0},
		{"a quotation", "a.go", "package a\n\n// f has \"who are you\".\nfunc f() {}\n", 0},
		{"a private noun in a comment", "a.go", "package a\n\n// f admits strangers.\nfunc f() {}\n", 1},
		{"a private noun as a function", "a.go", "package a\n\nfunc newTide() {}\n", 1},
		{"a private noun as a variable", "a.go", "package a\n\nfunc f() { tides := 1; _ = tides }\n", 1},
		{"a private noun as a field", "a.go", "package a\n\ntype t struct{ crowd int }\n", 1},
		{"a private noun as a file", "world_test.go", "package a\n", 1},
		{"part of another word", "a.go", "package a\n\n// doorkeeper, mushroom\nfunc mintedWorldwide() {}\n", 0},
		{"an ordinary phrase", "a.go", "package a\n\n// f makes room for a ticket system.\nfunc f() {}\n", 0},
		{"a use of a foreign name", "a.go", "package a\n\nvar v = other.Door\n", 0},
		{"no doc comment", "a.go", "package a\n\nfunc F() {}\n", 1},
		{"one that starts otherwise", "a.go", "package a\n\n// Does f.\nfunc F() {}\n", 1},
		{"one of another name", "a.go", "package a\n\n// Foo does f.\nfunc F() {}\n", 1},
		{"one with an article", "a.go", "package a\n\n// A T is one.\ntype T int\n", 0},
		{"a method", "a.go", "package a\n\n// T is one.\ntype T int\n\nfunc (T) M() {}\n", 1},
		{"a well-known method", "a.go", "package a\n\n// T is one.\ntype T int\n\nfunc (T) String() string { return \"\" }\n", 0},
		{"a method of a private type", "a.go", "package a\n\ntype t int\n\nfunc (t) M() {}\n", 0},
		{"a group", "a.go", "package a\n\n// These are two.\nconst (\n\tA = 1\n\tB = 2\n)\n", 0},
		{"a group without", "a.go", "package a\n\nconst (\n\tA = 1 // one\n\tB = 2\n)\n", 1},
		{"a test", "a_test.go", "package a\n\nfunc TestF() {}\n", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := wordFaults(test.path, test.src); len(got) != test.faults {
				t.Errorf("faults: %q, want %d", got, test.faults)
			}
		})
	}
}
