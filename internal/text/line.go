package text

import (
	"strings"
	"unicode"
)

// Cut returns s if it has at most limit octets, and otherwise its beginning with
// "…" behind it, which together have no more. It does not divide a character.
func Cut(s string, limit int) string {
	const mark = "…"
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:max(0, limit-len(mark))], "") + mark
}

// Line returns s as one line of at most limit octets, for a log, a terminal, a page
// or a reply. What is not printable becomes a space: it could begin a line of its
// own, or change the direction of what follows. Spaces are one at a time.
func Line(s string, limit int) string {
	s = s[:min(len(s), 8*limit)] // it may be megabytes of white space
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return Cut(strings.Join(strings.Fields(s), " "), limit)
}
