package gateway

import (
	"regexp"
	"strings"
)

// A mailbox is an element of an address list, with its place in the list.
type mailbox struct {
	addresses  []address // more than one if a separator is missing
	start, end int       // of the whole element
	angle      int       // where "<" is; -1 if there is none
}

// encodedWord is a whole word (RFC 2047 section 2). It is never an address.
var encodedWord = regexp.MustCompile(`(?i)^=\?[^?]+\?[bq]\?[^?]*\?=$`)

// A listParser splits an address list (RFC 5322 section 3.4) into mailboxes. It never
// fails: a field that is not well-formed still has to be compared with the envelope. It
// also accepts semicolons between addresses, and addresses without a separator.
type listParser struct {
	s   string
	all []mailbox

	start int
	angle int // place of "<", or -1
	open  bool
	inner strings.Builder // text between "<" and ">"
	bare  strings.Builder // text outside, before "<" or, if there is one, behind ">"; it has quotedSpace for a quoted space
	at    bool            // bare has an "@"

	unclosed  int  // number of comments and quoted strings without an end
	noLiteral bool // there is no "]" any more
}

// Limits for comments and quoted strings, which keep the time for many without an end short.
const (
	maxQuoted   = 1000 // bytes in which the end is looked for
	maxUnclosed = 20   // after that many without an end, none is looked for
)

// quotedSpace replaces white space within quotes, which does not separate words.
const quotedSpace = "\x01"

var (
	quotedReplacer = strings.NewReplacer(" ", quotedSpace, "\t", quotedSpace, "\r", "", "\n", "")
	looseReplacer  = strings.NewReplacer(" @ ", "@", " @", "@", "@ ", "@", " . ", ".", " .", ".", ". ", ".")
)

// parseList returns the mailboxes of an address list. Groups are resolved.
func parseList(s string) []mailbox {
	p := &listParser{s: s, angle: -1}
	for i := 0; i < len(s); {
		i = p.step(i)
	}
	p.finish(len(s), len(s))
	return p.all
}

// step handles what begins at i, and returns where the next begins.
func (p *listParser) step(i int) int {
	switch c := p.s[i]; c {
	case '(':
		p.add(" ")
		return p.comment(i)
	case '"':
		return p.quoted(i)
	case '[':
		if n := p.literal(i); n > 0 {
			p.add(p.s[i : i+n])
			return i + n
		}
		p.add("[")
	case '<':
		if p.angle >= 0 { // a separator is missing
			p.finish(i, i)
		}
		p.angle, p.open = i, true
		p.bare.Reset() // a name
	case '>':
		p.open = false
	case ',':
		if p.open && strings.HasPrefix(p.inner.String(), "@") { // a source route
			p.add(",")
		} else {
			p.finish(i, i+1)
		}
	case ':':
		if p.open || p.at {
			p.add(":")
		} else if p.angle < 0 { // the name of a group is before it
			p.reset(i + 1)
		}
	case ';':
		p.finish(i, i+1)
	default:
		p.add(p.s[i : i+1])
	}
	return i + 1
}

// quoted handles a quoted string that begins at i. A quote without an end is ignored, so
// that it does not hide the addresses behind it.
func (p *listParser) quoted(i int) int {
	for j := i + 1; j < p.limit(i); j++ {
		switch p.s[j] {
		case '\\':
			j++
		case '"':
			p.add(quotedReplacer.Replace(p.s[i : j+1]))
			return j + 1
		}
	}
	p.unclosed++
	return i + 1
}

// literal returns the length of the domain literal that begins at i, or 0.
func (p *listParser) literal(i int) int {
	if p.noLiteral {
		return 0
	}
	n := strings.IndexByte(p.s[i:], ']')
	p.noLiteral = n < 0
	return n + 1
}

func (p *listParser) add(s string) {
	if p.open {
		p.inner.WriteString(s)
	} else {
		p.bare.WriteString(s)
		p.at = p.at || s == "@"
	}
}

func (p *listParser) reset(start int) {
	p.start, p.angle, p.open, p.at = start, -1, false, false
	p.inner.Reset()
	p.bare.Reset()
}

// finish ends the element at end; the next begins at next.
func (p *listParser) finish(end, next int) {
	m := mailbox{start: p.start, end: end, angle: p.angle}
	if p.angle >= 0 {
		m.addAddress(withoutRoute(strings.TrimSpace(p.inner.String())))
	}
	m.addWords(p.bare.String())
	if len(m.addresses) > 0 {
		p.all = append(p.all, m)
	}
	p.reset(next)
}

func (m *mailbox) addAddress(s string) {
	if a, ok := parseAddress(strings.ReplaceAll(s, quotedSpace, " ")); ok {
		m.addresses = append(m.addresses, a)
	}
}

// addWords adds the addresses among the words of text without angle brackets.
func (m *mailbox) addWords(text string) {
	if !strings.Contains(text, "@") {
		return
	}
	text = strings.Join(strings.Fields(text), " ")
	text = looseReplacer.Replace(text)
	for _, word := range strings.Fields(text) {
		if !encodedWord.MatchString(word) {
			m.addAddress(withoutRoute(word))
		}
	}
}

// withoutRoute returns an address without its source route (RFC 5322 section 4.4).
func withoutRoute(s string) string {
	if _, after, ok := strings.Cut(s, ":"); ok && strings.HasPrefix(s, "@") {
		return after
	}
	return s // also a route without an end, in which some parsers may find an address
}

// comment returns the place behind the comment that begins at i. A parenthesis without an
// end is ignored.
func (p *listParser) comment(i int) int {
	depth := 0
	for j := i; j < p.limit(i); j++ {
		switch p.s[j] {
		case '\\':
			j++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return j + 1
			}
		}
	}
	p.unclosed++
	return i + 1
}

// limit returns where to stop looking for the end of what begins at i.
func (p *listParser) limit(i int) int {
	if p.unclosed >= maxUnclosed {
		return i
	}
	return min(len(p.s), i+maxQuoted)
}
