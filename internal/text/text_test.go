package text

import (
	"os/exec"
	"slices"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"imap", "smtp", "pop3", "starttls", "tls"}
	for _, row := range []struct{ s, want string }{
		{"imap", "imap"},
		{"impa", "imap"},
		{"startls", "starttls"},
		{"tsl", "tls"},
		{"nntp", ""}, // two of four letters differ
		{"gopher", ""},
		{"", ""},
	} {
		if got := Nearest(row.s, words); got != row.want {
			t.Errorf("Nearest(%q) = %q, want %q", row.s, got, row.want)
		}
	}
}

func TestNearestFew(t *testing.T) {
	words := []string{"alice@example.com", "bob@example.com", "carol@example.com", "alice@example.org"}
	for _, row := range []struct {
		s    string
		n    int
		want []string
	}{
		{"alcie@example.com", 1, []string{"alice@example.com"}},
		{"bob@example.net", 1, []string{"bob@example.com"}},
		{"x", 10, []string{"bob@example.com", "alice@example.com", "carol@example.com", "alice@example.org"}},
		{"x", 0, []string{}},
	} {
		if got := NearestFew(row.s, words, row.n); !slices.Equal(got, row.want) {
			t.Errorf("NearestFew(%q, %d) = %q, want %q", row.s, row.n, got, row.want)
		}
	}
	if words[0] != "alice@example.com" {
		t.Error("NearestFew modified its argument")
	}
}

// TestShellWord compares ShellWord with a real shell.
func TestShellWord(t *testing.T) {
	for _, word := range []string{"a", "/etc/xoauthd/x.toml", "a b", "it's", "$(id)", "", "#x", "~", "a\nb", "ü"} {
		out, err := exec.Command("sh", "-c", "printf %s "+ShellWord(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q: the shell reads %s as %q: %v", word, ShellWord(word), out, err)
		}
	}
	if got := ShellWord("alice@example.com"); got != "alice@example.com" {
		t.Errorf("unnecessary quotes: %s", got)
	}
}

func TestFromFile(t *testing.T) {
	for _, row := range []struct {
		s, want string
		err     error
	}{
		{"", "", nil},
		{"secret\n", "secret\n", nil},
		{"\xef\xbb\xbfsecret\r\n", "secret\r\n", nil},
		{"a\xef\xbb\xbf", "a\xef\xbb\xbf", nil},
		{"\xff\xfea\x00b\x00", "", ErrUTF16},
		{"\xfe\xff\x00a\x00b", "", ErrUTF16},
		{"a\x00b\x00", "", ErrUTF16},
		{"\x00a\x00b", "", ErrUTF16},
		{"a\x00", "a\x00", nil},
		{"\x30\x82\x00\x01", "\x30\x82\x00\x01", nil},
	} {
		if got, err := FromFile(row.s); got != row.want || err != row.err {
			t.Errorf("FromFile(%q) = %q, %v, want %q, %v", row.s, got, err, row.want, row.err)
		}
	}
}

// TestShellWordQuotes checks that only the words that need quotes have them.
func TestShellWordQuotes(t *testing.T) {
	for word, want := range map[string]string{
		"joe+scan@example.com":   "joe+scan@example.com",
		"*@example.org":          "'*@example.org'",
		"o'neil@example.com":     `'o'\''neil@example.com'`,
		"$(reboot)@example.com":  "'$(reboot)@example.com'",
		"joe smith@example.com":  "'joe smith@example.com'",
		"":                       "''",
		"üser@пример.example":    "'üser@пример.example'",
		"a\nb":                   "'a\nb'",
		`"joe"@example.com`:      `'"joe"@example.com'`,
		"shared=mail@example.io": "shared=mail@example.io",
	} {
		if got := ShellWord(word); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
}
