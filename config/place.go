package config

import (
	"strings"

	"github.com/BurntSushi/toml"
)

// A place is where something stands in a TOML file, with the places of what
// is in it. The toml library keeps no positions of what it has read. A nil
// place is nowhere: it has line 0, and nothing is in it.
type place struct {
	line  int               // from 1; 0 for the file itself
	keys  map[string]*place // of a table
	items []*place          // of an array
}

// key returns the place of a key in a table.
func (p *place) key(k string) *place {
	if p == nil {
		return nil
	}
	return p.keys[k]
}

// item returns the place of an element of an array.
func (p *place) item(i int) *place {
	if p == nil || i >= len(p.items) {
		return nil
	}
	return p.items[i]
}

// at returns the line.
func (p *place) at() int {
	if p == nil {
		return 0
	}
	return p.line
}

// find returns the place of a dotted key, through the last table of each array of
// tables, or nil.
func (p *place) find(path toml.Key) *place {
	for i, k := range path {
		if i > 0 && p != nil && len(p.items) > 0 {
			p = p.items[len(p.items)-1]
		}
		p = p.key(k)
	}
	return p
}

// descend follows a dotted key, through the last table of each array of
// tables, to the place of its last part. What is not there yet is made.
func (p *place) descend(path toml.Key, line int) *place {
	for i, k := range path {
		if i > 0 && len(p.items) > 0 {
			p = p.items[len(p.items)-1]
		}
		next := p.keys[k]
		if next == nil {
			next = &place{line: line}
			if p.keys == nil {
				p.keys = map[string]*place{}
			}
			p.keys[k] = next
		}
		p = next
	}
	return p
}

// add makes the place of one more element of an array.
func (p *place) add(line int) *place {
	p.items = append(p.items, &place{line: line})
	return p.items[len(p.items)-1]
}

// locate returns the places of all keys in text, which toml must have found
// valid: only as much of the grammar is known here as it takes to tell keys
// from values. In other text it finds some places, and stops.
func locate(text string) *place {
	s := &scanner{text: text, line: 1}
	root := &place{}
	table := root
	for s.blank(); s.more(); s.blank() {
		line := s.line
		switch {
		case s.accept("[["):
			table = root.descend(s.key(']'), line).add(line)
			s.accept("]")
		case s.accept("["):
			table = root.descend(s.key(']'), line)
			table.line = line // which an earlier [table.below] may have made
		default:
			s.pair(table)
		}
	}
	return root
}

// A scanner goes through TOML text and counts its lines.
type scanner struct {
	text string // what is left
	line int
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

// blank skips white space and comments.
func (s *scanner) blank() {
	for {
		s.skip(len(s.text) - len(strings.TrimLeft(s.text, " \t\r\n")))
		if !strings.HasPrefix(s.text, "#") {
			return
		}
		s.until("\n")
	}
}

// until skips to the first of some characters.
func (s *scanner) until(chars string) {
	n := strings.IndexAny(s.text, chars)
	if n < 0 {
		n = len(s.text)
	}
	s.skip(n)
}

// key reads a key, dotted and quoted as it may be, and the character that ends
// it. What the parts of an unusual key are, toml knows best.
func (s *scanner) key(end byte) toml.Key {
	start := s.text
	for s.more() && s.text[0] != end && s.text[0] != '\n' {
		if s.text[0] == '"' || s.text[0] == '\'' {
			s.quoted(s.text[:1])
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

// plainKey returns the parts of a key whose quoted parts have neither dots, quotes
// nor escapes but in one that comes last, and nil for any other key. To have toml read
// each key takes a third of the time that a long file takes.
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

// pair reads a key of table, and its value.
func (s *scanner) pair(table *place) {
	line := s.line
	s.value(table.descend(s.key('='), line))
}

// value reads the value that stands at p.
func (s *scanner) value(p *place) {
	s.blank()
	switch {
	case s.accept("["):
		s.each("]", func() { s.value(p.add(s.line)) })
	case s.accept("{"):
		s.each("}", func() { s.pair(p) })
	case strings.HasPrefix(s.text, `"""`), strings.HasPrefix(s.text, `'''`):
		s.quoted(s.text[:3])
		// Up to two quotes more belong to the string.
		s.skip(len(s.text) - len(strings.TrimLeft(s.text, `"'`)))
	case strings.HasPrefix(s.text, `"`), strings.HasPrefix(s.text, `'`):
		s.quoted(s.text[:1])
	default:
		s.until(",]}#\n")
	}
}

// each reads the elements of an array or an inline table.
func (s *scanner) each(end string, element func()) {
	for s.blank(); s.more() && !s.accept(end); s.blank() {
		left := len(s.text)
		element()
		s.blank()
		s.accept(",")
		if len(s.text) == left {
			s.text = "" // this is not TOML
		}
	}
}

// quoted reads a string. The text begins with its quote.
func (s *scanner) quoted(quote string) {
	i := len(quote)
	for i < len(s.text) && !strings.HasPrefix(s.text[i:], quote) {
		if s.text[i] == '\\' && quote[0] == '"' {
			i++
		}
		i++
	}
	s.skip(i + len(quote))
}
