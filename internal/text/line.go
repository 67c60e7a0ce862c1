package text

import (
	"strings"
	"unicode"
)

// Cut returns s if it has at most limit bytes. Otherwise it returns the beginning of
// s followed by "…", at most limit bytes together. It does not split a character.
// If limit is less than 3, it returns "…" alone for a longer s.
func Cut(s string, limit int) string {
	const mark = "…"
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:max(0, limit-len(mark))], "") + mark
}

// Line returns s as a single line of at most limit bytes, for a log, a terminal, a
// page or a reply. It replaces unprintable characters by spaces, because they could
// start a new line or change the direction of the text after them. It collapses runs
// of white space into one space, and trims both ends.
func Line(s string, limit int) string {
	s = s[:min(len(s), 8*limit)] // bounds the work if s is megabytes of white space
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return Cut(strings.Join(strings.Fields(s), " "), limit)
}
