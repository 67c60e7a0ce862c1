package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"printable ASCII", "AADSTS700082: expired", "AADSTS700082: expired"},
		{"lines", "one\r\ntwo\n\n  three\t", "one two three"},
		{"other line breaks", "one\u2028two\u0085three", "one two three"},
		{"control characters", "a\x00b\x1b[31mc\x7f", "a b [31mc"},
		{"direction marks", "a\u202eb\u2066c", "a b c"},
		{"zero-width characters", "a\u200bb\ufeffc", "a b c"},
		{"other spaces", "a\u00a0\u3000b", "a b"},
		{"other scripts", "Übergrößenträger 中文 ✓", "Übergrößenträger 中文 ✓"},
		{"invalid UTF-8", "a\xffb", "a\uFFFDb"},
		{"long", strings.Repeat("x", 50), strings.Repeat("x", 37) + "…"},
		{"long, of multi-byte characters", strings.Repeat("é", 50), strings.Repeat("é", 18) + "…"},
		{"a megabyte of spaces", strings.Repeat(" ", 1<<20) + "x", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Line(test.in, 40); got != test.want {
				t.Errorf("Line(%.100q) = %q, want %q", test.in, got, test.want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	for limit := range 12 {
		got := Cut("grün: 中文", limit)
		if len(got) > max(limit, 3) || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
			t.Errorf("Cut to %d bytes: %q", limit, got)
		}
	}
	if got := Cut("中文", 6); got != "中文" {
		t.Errorf(`Cut("中文", 6) = %q, want it unchanged`, got)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\r\nb\x00\xff\u202e", 10)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 3 || limit > 1<<16 {
			t.Skip()
		}
		got := Line(s, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("Line(%q, %d) = %q", s, limit, got)
		}
		if again := Line(got, limit); again != got {
			t.Errorf("Line is not idempotent: %q becomes %q", got, again)
		}
	})
}
