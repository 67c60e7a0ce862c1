package doctor

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/text"
)

// Limits, far beyond what honest servers send: of one text in bytes, of all facts of a
// step in characters, and of one list in entries. A character takes up to six bytes in
// JSON, and a step must fit into a line of 64 KiB between the daemon and the command.
const (
	maxText  = 600
	maxFacts = 6000
	maxList  = 100
)

// cut ends a shortened list.
const cut = "…"

// cleaned returns s as single lines of limited length without secrets. Everything that
// servers send passes through here before it is shown.
func cleaned(s step.Step, secrets *redact.Secrets) step.Step {
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

// fit shortens a list to maxList entries and to left characters.
func fit(list []string, left *int) []string {
	for i, entry := range list {
		n := utf8.RuneCountInString(entry) + 1 // one for the separator
		if i == maxList || n > *left {
			return append(list[:i], cut)
		}
		*left -= n
	}
	return list
}
