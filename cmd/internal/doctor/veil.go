package doctor

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is told, far beyond what honest servers say: of one text and of
// all facts of a step in characters, and of one list in entries. A character
// takes up to six octets in JSON, and a step has to fit in the 64 KiB of a line
// between the daemon and the program.
const (
	maxText  = 600
	maxFacts = 6000
	maxList  = 100
)

// cut stands where more was than is told.
const cut = "…"

// A veil keeps secrets out of what is told: servers like to repeat what they did
// not understand, whole or in part, as it is or as it was encoded.
type veil struct{ secrets []secret }

// A secret is hidden in each of its forms, by each long part of one.
type secret struct {
	text  string
	forms []string
	part  int // how long
}

// minPart is how many characters of a token may not be told: base64 of common
// words is shorter.
const minPart = 12

func (v *veil) hide(text string) {
	if text == "" {
		return
	}
	encoded := hex.EncodeToString([]byte(text))
	forms := []string{text, url.QueryEscape(text), encoded, strings.ToUpper(encoded)}
	// In base64 of a text with the secret in it, that looks one of three ways, by
	// how many octets come before it.
	for before := range 3 {
		padded := append(make([]byte, before), text...)
		forms = append(forms, base64.StdEncoding.EncodeToString(padded), base64.URLEncoding.EncodeToString(padded))
	}
	v.secrets = append(v.secrets, secret{text, forms, min(minPart, len(text))})
}

// words are what may be a secret, or a part of one.
var words = regexp.MustCompile(`[^\s"'()<>\[\]{},;]+`)

// hidden is text without the secrets.
func (v *veil) hidden(text string) string {
	for _, s := range v.secrets {
		text = strings.ReplaceAll(text, s.text, "(hidden)")
		text = words.ReplaceAllStringFunc(text, s.hidden)
	}
	return text
}

// hidden is word, unless it has a part of the secret.
func (s *secret) hidden(word string) string {
	for i := 0; i+s.part <= len(word); i++ {
		part := word[i : i+s.part]
		if slices.ContainsFunc(s.forms, func(form string) bool { return strings.Contains(form, part) }) {
			return "(hidden)"
		}
	}
	return word
}

// cleaned is s as it may be told.
func (v *veil) cleaned(s Step) Step {
	text := func(t string) string { return truncate(v.hidden(oneLine(t))) }
	s.Name, s.Detail, s.Cause, s.Remedy = text(s.Name), text(s.Detail), text(s.Cause), text(s.Remedy)
	left := maxFacts
	for _, name := range slices.Sorted(maps.Keys(s.Facts)) {
		switch value := s.Facts[name].(type) {
		case string:
			s.Facts[name] = fit([]string{text(value)}, &left)[0]
		case []string:
			list := slices.Clone(value[:min(len(value), maxList+1)])
			for i := range list {
				list[i] = text(list[i])
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

// oneLine makes text from elsewhere fit for a terminal: what is not printable
// could begin a line of its own, or turn the direction of what follows.
func oneLine(s string) string {
	s = s[:min(len(s), 4*maxText)] // of what may be megabytes
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

func truncate(s string) string {
	if runes := []rune(s); len(runes) > maxText {
		return string(runes[:maxText]) + cut
	}
	return s
}
