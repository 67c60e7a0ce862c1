package main_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// A search finds many strings in one pass over a text: thousands of secrets in 90 MB of
// output.
type search struct {
	length   int                 // of the shortest string
	byPrefix map[string][]string // by their first octets, of that length
}

// newSearch returns a search for strings, none of which is empty.
func newSearch(all []string) search {
	shortest := slices.MinFunc(all, func(a, b string) int { return len(a) - len(b) })
	s := search{len(shortest), make(map[string][]string)}
	for _, one := range all {
		s.byPrefix[one[:s.length]] = append(s.byPrefix[one[:s.length]], one)
	}
	return s
}

// in returns the strings that text contains.
func (s search) in(text string) map[string]bool {
	found := make(map[string]bool)
	for i := range max(0, len(text)-s.length+1) {
		for _, one := range s.byPrefix[text[i:i+s.length]] {
			if strings.HasPrefix(text[i:], one) {
				found[one] = true
			}
		}
	}
	return found
}

func TestSearch(t *testing.T) {
	s := newSearch([]string{"abc", "abcde", "bcd", "xyz", "end"})
	for text, want := range map[string][]string{
		"":                  nil,
		"ab":                nil,
		"abc":               {"abc"},
		"__abcd_end":        {"abc", "bcd", "end"},
		"abcde abc xy z":    {"abc", "abcde", "bcd"},
		"ab c\nxyzxyz abcd": {"abc", "bcd", "xyz"},
	} {
		if got := slices.Sorted(maps.Keys(s.in(text))); !slices.Equal(got, want) {
			t.Errorf("%q contains %q, want %q", text, got, want)
		}
	}
}
