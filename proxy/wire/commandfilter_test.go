package wire

import (
	"bytes"
	"strings"
	"testing"
)

// edit passes text to a filter in pieces of n octets and returns the forwarded text.
func edit(f *CommandFilter, text string, n int) string {
	var forwarded strings.Builder
	for p := []byte(text); len(p) > 0; {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		forwarded.Write(Edit(piece, func(p []byte) (int, []byte) {
			n, forward, _ := f.Next(p)
			return n, forward
		}))
	}
	forwarded.Write(f.Held())
	return forwarded.String()
}

// The forwarded text does not depend on how the input is cut into pieces.
func TestCommandFilter(t *testing.T) {
	secret := func(line []byte, final bool) (Verdict, string) {
		verb, _, whole := bytes.Cut(line, []byte(" "))
		switch {
		case !whole && !final:
			return Undecided, ""
		case string(verb) == "SECRET":
			return Replace, "NOTHING"
		}
		return Forward, ""
	}
	long := strings.Repeat("x", 1000)
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "a b\r\n\r\nc\r\n", "a b\r\n\r\nc\r\n"},
		{"one line of three", "a b\r\nSECRET word\r\nc d\r\n", "a b\r\nNOTHING\r\nc d\r\n"},
		{"every line", "SECRET word\r\nSECRET\r\n", "NOTHING\r\nNOTHING\r\n"},
		{"a bare LF", "SECRET word\nSECRET word\nc\n", "NOTHING\r\nNOTHING\r\nc\n"},
		{"a long line", "SECRET " + long + "\r\nc " + long + "\r\n", "NOTHING\r\nc " + long + "\r\n"},
		{"a line without a verdict", long + "\r\nSECRET x\r\n", long + "\r\nNOTHING\r\n"},
		{"an incomplete line", "SECR", "SECR"},
		{"a lone CR", "a\rSECRET b\r\n\rSECRET b\r\n", "a\rSECRET b\r\n\rSECRET b\r\n"},
	} {
		for _, n := range []int{1, 2, 3, 7, 4096} {
			if got := edit(&CommandFilter{Decide: secret}, test.text, n); got != test.want {
				t.Errorf("%s, in pieces of %d: %.80q", test.name, n, got)
			}
		}
	}
}

// Edit returns its input if nothing changes.
func TestEditWithoutChange(t *testing.T) {
	f := &CommandFilter{Decide: func([]byte, bool) (Verdict, string) { return Forward, "" }}
	p := []byte("a\r\nb\r\nc")
	got := Edit(p, func(p []byte) (int, []byte) {
		n, forward, _ := f.Next(p)
		return n, forward
	})
	if &got[0] != &p[0] || len(got) != len(p) {
		t.Error("copied")
	}
}
