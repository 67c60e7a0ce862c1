package config

import (
	"strings"

	"github.com/BurntSushi/toml"
)

// A position is the line of a value in a TOML file, with the positions of the values
// inside it. The toml library does not report positions. A nil position is valid: it
// has line 0 and contains nothing.
type position struct {
	start int                  // line number from 1; 0 for the file itself
	keys  map[string]*position // of a table
	items []*position          // of an array
}

// key returns the position of a key of a table, or nil.
func (p *position) key(k string) *position {
	if p == nil {
		return nil
	}
	return p.keys[k]
}

// item returns the position of an element of an array, or nil.
func (p *position) item(i int) *position {
	if p == nil || i >= len(p.items) {
		return nil
	}
	return p.items[i]
}

// line returns the line number, or 0 if p is nil.
func (p *position) line() int {
	if p == nil {
		return 0
	}
	return p.start
}

// find returns the position of a dotted key, or nil. In an array of tables it looks in
// the last table.
func (p *position) find(path toml.Key) *position {
	for i, k := range path {
		if i > 0 && p != nil && len(p.items) > 0 {
			p = p.items[len(p.items)-1]
		}
		p = p.key(k)
	}
	return p
}

// create returns the position of a dotted key, and creates missing positions with the
// given line. In an array of tables it uses the last table.
func (p *position) create(path toml.Key, line int) *position {
	for i, k := range path {
		if i > 0 && len(p.items) > 0 {
			p = p.items[len(p.items)-1]
		}
		next := p.keys[k]
		if next == nil {
			next = &position{start: line}
			if p.keys == nil {
				p.keys = map[string]*position{}
			}
			p.keys[k] = next
		}
		p = next
	}
	return p
}

// add appends an element to an array, and returns its position.
func (p *position) add(line int) *position {
	p.items = append(p.items, &position{start: line})
	return p.items[len(p.items)-1]
}

// indexPositions returns the positions of all keys in text. It parses only as much of
// TOML as it needs to tell keys from values, so text must be valid. For invalid text it
// returns some of the positions.
func indexPositions(text string) *position {
	s := &scanner{text: text, line: 1}
	root := &position{}
	table := root
	for s.skipBlank(); s.more(); s.skipBlank() {
		line := s.line
		switch {
		case s.accept("[["):
			table = root.create(s.key(']'), line).add(line)
			s.accept("]")
		case s.accept("["):
			table = root.create(s.key(']'), line)
			table.start = line // an earlier [table.sub] may have created it
		default:
			s.pair(table)
		}
	}
	return root
}

// A scanner reads TOML text and counts lines.
type scanner struct {
	text string // not yet read
	line int    // of the beginning of text
}

func (s *scanner) more() bool { return s.text != "" }

func (s *scanner) skip(n int) {
	n = min(n, len(s.text))
	s.line += strings.Count(s.text[:n], "\n")
	s.text = s.text[n:]
}

func (s *scanner) accept(prefix string) bool {
	if !strings.HasPrefix(s.text, prefix) {
		return false
	}
	s.skip(len(prefix))
	return true
}

// skipBlank skips white space and comments.
func (s *scanner) skipBlank() {
	for {
		s.skip(len(s.text) - len(strings.TrimLeft(s.text, " \t\r\n")))
		if !strings.HasPrefix(s.text, "#") {
			return
		}
		s.skipUntil("\n")
	}
}

// skipUntil skips to the first of chars, or to the end of the text.
func (s *scanner) skipUntil(chars string) {
	n := strings.IndexAny(s.text, chars)
	if n < 0 {
		n = len(s.text)
	}
	s.skip(n)
}

// key reads a dotted key and the character end after it. It lets the toml library parse
// a key with unusual quotes.
func (s *scanner) key(end byte) toml.Key {
	start := s.text
	for s.more() && s.text[0] != end && s.text[0] != '\n' {
		if s.text[0] == '"' || s.text[0] == '\'' {
			s.skipString(s.text[:1])
		} else {
			s.skip(1)
		}
	}
	raw := start[:len(start)-len(s.text)]
	s.skip(1)
	if key := plainKey(raw); key != nil {
		return key
	}
	md, err := toml.Decode(raw+" = 0", &map[string]any{})
	if err != nil || len(md.Keys()) != 1 {
		s.text = ""
		return nil
	}
	return md.Keys()[0]
}

// plainKey returns the parts of a dotted key, or nil if the key needs the toml library.
// It accepts bare parts, and as the last part a double-quoted one without quotes or
// escapes inside. Parsing every key with the toml library would take a third of the load
// time of a long file.
func plainKey(raw string) (key toml.Key) {
	raw = strings.TrimSpace(raw)
	for {
		part, rest, more := raw, "", false
		if quoted, ok := strings.CutPrefix(raw, `"`); ok {
			part, ok = strings.CutSuffix(quoted, `"`)
			if !ok || strings.ContainsAny(part, "\"\\\n") {
				return nil
			}
			return append(key, part)
		}
		if part, rest, more = strings.Cut(raw, "."); part == "" || strings.Trim(part, bareKey) != "" {
			return nil
		}
		key = append(key, part)
		if !more {
			return key
		}
		raw = rest
	}
}

const bareKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// pair reads a key of table and its value.
func (s *scanner) pair(table *position) {
	line := s.line
	s.value(table.create(s.key('='), line))
}

// value reads a value whose position is p.
func (s *scanner) value(p *position) {
	s.skipBlank()
	switch {
	case s.accept("["):
		s.elements("]", func() { s.value(p.add(s.line)) })
	case s.accept("{"):
		s.elements("}", func() { s.pair(p) })
	case strings.HasPrefix(s.text, `"""`), strings.HasPrefix(s.text, `'''`):
		s.skipString(s.text[:3])
		// Up to two more quotes belong to the string.
		s.skip(len(s.text) - len(strings.TrimLeft(s.text, `"'`)))
	case strings.HasPrefix(s.text, `"`), strings.HasPrefix(s.text, `'`):
		s.skipString(s.text[:1])
	default:
		s.skipUntil(",]}#\n")
	}
}

// elements reads the elements of an array or an inline table.
func (s *scanner) elements(end string, element func()) {
	for s.skipBlank(); s.more() && !s.accept(end); s.skipBlank() {
		left := len(s.text)
		element()
		s.skipBlank()
		s.accept(",")
		if len(s.text) == left {
			s.text = "" // no progress: not valid TOML
		}
	}
}

// skipString skips a string that begins with quote.
func (s *scanner) skipString(quote string) {
	i := len(quote)
	for i < len(s.text) && !strings.HasPrefix(s.text[i:], quote) {
		if s.text[i] == '\\' && quote[0] == '"' {
			i++
		}
		i++
	}
	s.skip(i + len(quote))
}
