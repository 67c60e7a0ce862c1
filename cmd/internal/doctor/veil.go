package doctor

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Bounds of what is told, far beyond what honest servers say: of one text in
// characters, and of one list in entries.
const (
	maxText = 600
	maxList = 100
)

// A veil keeps a secret out of what is told: servers like to repeat what they
// did not understand, whole or in part, as it is or as it was encoded.
type veil struct {
	secret string
	forms  []string // of the secret: each long part of one is hidden
	part   int      // how long
}

// minPart is how many characters of a token may not be told: base64 of common
// words is shorter.
const minPart = 12

func (v *veil) hide(secret string) {
	v.secret, v.part = secret, min(minPart, len(secret))
	v.forms = []string{secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret)))}
	// In base64 of a text with the secret in it, that looks one of three ways, by
	// how many octets come before it.
	for before := range 3 {
		text := append(make([]byte, before), secret...)
		v.forms = append(v.forms, base64.StdEncoding.EncodeToString(text), base64.URLEncoding.EncodeToString(text))
	}
}

// words are what may be a secret, or a part of one.
var words = regexp.MustCompile(`[^\s"'()<>\[\]{},;]+`)

// hidden is text without the secret.
func (v *veil) hidden(text string) string {
	if v.secret == "" {
		return text
	}
	text = strings.ReplaceAll(text, v.secret, "(hidden)")
	return words.ReplaceAllStringFunc(text, func(word string) string {
		for i := 0; i+v.part <= len(word); i++ {
			part := word[i : i+v.part]
			if slices.ContainsFunc(v.forms, func(form string) bool { return strings.Contains(form, part) }) {
				return "(hidden)"
			}
		}
		return word
	})
}

// cleaned is s as it may be told.
func (v *veil) cleaned(s Step) Step {
	text := func(t string) string { return truncate(v.hidden(oneLine(t))) }
	s.Name, s.Detail, s.Cause, s.Remedy = text(s.Name), text(s.Detail), text(s.Cause), text(s.Remedy)
	for name, value := range s.Facts {
		switch value := value.(type) {
		case string:
			s.Facts[name] = text(value)
		case []string:
			list := slices.Clone(value[:min(len(value), maxList)])
			for i := range list {
				list[i] = text(list[i])
			}
			s.Facts[name] = list
		}
	}
	return s
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
		return string(runes[:maxText]) + "…"
	}
	return s
}
