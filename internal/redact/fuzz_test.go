package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// encoders are the encodings in which a peer may repeat a secret.
var encoders = []func(string) string{
	func(s string) string { return s },
	strings.ToUpper,
	url.QueryEscape,
	percent,
	func(s string) string { return percent(s[:len(s)/2]) + strings.ToLower(percent(s[len(s)/2:])) },
	func(s string) string { b, _ := json.Marshal(s); return string(b) },
	func(s string) string { return eachRune(`\u%04x`, s) },
	func(s string) string { return eachRune("&#%d;", s) },
	func(s string) string { return eachRune("&#x%X", s) + ";" },
	func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("." + s + "..")) },
	func(s string) string { return base64.StdEncoding.EncodeToString([]byte(".." + s)) },
	func(s string) string { return hex.EncodeToString([]byte(s)) },
	func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	func(s string) string { return lines(s, 7) },
	func(s string) string { return lines(base64.StdEncoding.EncodeToString([]byte(s)), 76) },
}

// FuzzRedact redacts text with a part of a secret in one or two encodings. No
// decoding of the result may contain 8 octets of the secret, or 12 of a longer one.
func FuzzRedact(f *testing.F) {
	for i := range encoders {
		f.Add(refreshToken, 3, 40, uint(i), uint(0), "error: ", " (try again)")
		f.Add(refreshToken, 0, 8, uint(i), uint(i+1), "QUJDREVGR0g", "12345")
		f.Add(strings.Repeat(refreshToken, 5)[7:], 60, 12, uint(i), uint(i+9), "%4", ";41")
		f.Add(appPassword, 0, 16, uint(i), uint(2), `\`, "&")
	}
	f.Fuzz(func(t *testing.T, secret string, from, n int, first, second uint, before, after string) {
		octets := condensed(secret)
		part := 8
		if len(octets) > maxDense {
			part = 12
		}
		if !utf8.ValidString(secret) || len(octets) < minPartial || len(octets) > 1<<10 || from < 0 || n < part || from+n > len(octets) || from+n < 0 ||
			len(before)+len(after) > 1<<10 || strings.Contains("(hidden)(hidden)", octets[:8]) {
			t.Skip()
		}
		encode := func(s string) string {
			return encoders[second%uint(len(encoders))](encoders[first%uint(len(encoders))](s))
		}
		text := before + encode(octets[from:from+n]) + after
		s := New(secret)
		got := s.Redact(text)
		if len(text) > maxText {
			t.Skip()
		}
		for _, reading := range readings(got, 2) {
			for i := 0; i+part <= len(octets); i++ {
				if strings.Contains(reading, octets[i:i+part]) {
					t.Fatalf("%q of %q remains in %q, redacted from %q", octets[i:i+part], octets, got, text)
				}
			}
		}
	})
}

// eachRune formats each character up to U+FFFF, the range of one JSON escape.
func eachRune(format, s string) string {
	var b strings.Builder
	for _, r := range s {
		if r > 0xffff {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, format, r)
		}
	}
	return b.String()
}

// condensed returns s in lower case without invisible characters.
func condensed(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r != utf8.RuneError && !unicode.IsPrint(r):
			return -1
		case r <= 'Z':
			return unicode.ToLower(r)
		}
		return r
	}, s)
}

var (
	escapes = regexp.MustCompile(`%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|&#[0-9]{1,9};?|&#[xX][0-9A-Fa-f]{1,7};?`)
	digits  = regexp.MustCompile(`[A-Za-z0-9+/_-]{6,}`)
	hexRuns = regexp.MustCompile(`[0-9A-Fa-f]{6,}`)
)

// readings returns all decodings of text up to depth levels.
func readings(text string, depth int) []string {
	all := []string{condensed(text)}
	if depth == 0 {
		return all
	}
	text = strings.Map(func(r rune) rune {
		if r == ' ' || r != utf8.RuneError && !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	all = append(all, readings(escapes.ReplaceAllStringFunc(text, unescaped), depth-1)...)
	for skip := range 4 {
		for _, run := range digits.FindAllString(text, -1) {
			run = strings.NewReplacer("-", "+", "_", "/").Replace(run[skip:])
			if len(run)%4 == 1 {
				run = run[:len(run)-1]
			}
			b, err := base64.RawStdEncoding.DecodeString(run)
			if err == nil {
				all = append(all, readings(string(b), depth-1)...)
			}
		}
	}
	for skip := range 2 {
		for _, run := range hexRuns.FindAllString(text, -1) {
			run = run[skip:]
			b, _ := hex.DecodeString(run[:len(run)&^1])
			all = append(all, readings(string(b), depth-1)...)
		}
	}
	return all
}

// unescaped decodes an escape.
func unescaped(escape string) string {
	number, base := strings.TrimSuffix(escape, ";"), 16
	switch {
	case escape[0] == '%':
		n, _ := strconv.ParseUint(escape[1:], 16, 8)
		return string([]byte{byte(n)})
	case escape[0] == '\\':
		number = number[2:]
	case escape[2] == 'x', escape[2] == 'X':
		number = number[3:]
	default:
		number, base = number[2:], 10
	}
	n, err := strconv.ParseUint(number, base, 31)
	if err != nil {
		return escape
	}
	return string(rune(n))
}
