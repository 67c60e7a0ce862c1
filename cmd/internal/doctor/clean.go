package doctor

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/text"
)

// Bounds of what is told, far beyond what honest servers say: of one text in octets,
// of all facts of a step in characters, and of one list in entries. A character
// takes up to six octets in JSON, and a step has to fit in the 64 KiB of a line
// between the daemon and the program.
const (
	maxText  = 600
	maxFacts = 6000
	maxList  = 100
)

// cut stands where more was than is told.
const cut = "…"

// cleaned returns s as it may be told: in bounded lines without secrets. Whatever
// servers send reaches people through here.
func cleaned(s Step, secrets *redact.Secrets) Step {
	line := func(t string) string { return text.Line(secrets.Redact(t), maxText) }
	s.Name, s.Detail, s.Cause, s.Remedy = line(s.Name), line(s.Detail), line(s.Cause), line(s.Remedy)
	left := maxFacts
	for _, name := range slices.Sorted(maps.Keys(s.Facts)) {
		switch value := s.Facts[name].(type) {
		case string:
			s.Facts[name] = fit([]string{line(value)}, &left)[0]
		case []string:
			list := slices.Clone(value[:min(len(value), maxList+1)])
			for i := range list {
				list[i] = line(list[i])
			}
			s.Facts[name] = fit(list, &left)
		}
	}
	return s
}

// fit cuts a list to maxList entries, and to what is left of characters.
func fit(list []string, left *int) []string {
	for i, entry := range list {
		n := utf8.RuneCountInString(entry) + 1 // there is more to an entry than its text
		if i == maxList || n > *left {
			return append(list[:i], cut)
		}
		*left -= n
	}
	return list
}
