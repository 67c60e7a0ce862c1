package imap

import (
	"errors"
	"strings"
	"testing"
)

// send passes text to a tracker in pieces of n octets and returns the forwarded
// text, up to an error.
func send(t *Tracker, text string, n int) (string, error) {
	var forwarded strings.Builder
	for p := []byte(text); len(p) > 0; {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		edited, err := t.FromClient(piece)
		if err != nil {
			return forwarded.String(), err
		}
		forwarded.Write(edited)
	}
	return forwarded.String() + string(t.Held()), nil
}

func TestTracker(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, test := range []struct {
		name, text, want string
		err              error
	}{
		{"LOGIN", "a LOGIN joe s3cret\r\nb NOOP\r\n", "a LOGIN\r\nb NOOP\r\n", nil},
		{"AUTHENTICATE", "a authenticate PLAIN AGpvZQBzM2NyZXQ=\r\n", "a LOGIN\r\n", nil},
		{"after other commands", "a NOOP\r\nb ID NIL\r\nc CAPABILITY\r\nd LIST \"\" *\r\ne LOGIN joe s3cret\r\n",
			"a NOOP\r\nb ID NIL\r\nc CAPABILITY\r\nd LIST \"\" *\r\ne LOGIN\r\n", nil},
		{"a bare LF", "a LOGIN joe s3cret\nb LOGIN joe s3cret\n", "a LOGIN\r\nb LOGIN\r\n", nil},
		{"after IDLE", "a IDLE\r\nDONE\r\nb LOGIN joe s3cret\r\n", "a IDLE\r\nDONE\r\nb LOGIN\r\n", nil},
		{"after SELECT", "a select INBOX\r\nb LOGIN joe s3cret\r\n", "a select INBOX\r\nb LOGIN joe s3cret\r\n", nil},
		{"after EXAMINE", "a EXAMINE INBOX\r\nb LOGIN joe s3cret\r\n", "a EXAMINE INBOX\r\nb LOGIN joe s3cret\r\n", nil},
		{"after COMPRESS", "a COMPRESS DEFLATE\r\nb LOGIN joe s3cret\r\n", "a COMPRESS DEFLATE\r\nb LOGIN joe s3cret\r\n", nil},
		{"in a message", "a APPEND INBOX {18}\r\nb LOGIN in a mail\r\n\r\n", "a APPEND INBOX {18}\r\nb LOGIN in a mail\r\n\r\n", nil},
		{"in a literal", "a CREATE {18+}\r\nb LOGIN in a mail\r\n\r\n", "a CREATE {18+}\r\nb LOGIN in a mail\r\n\r\n", nil},
		{"with a literal", "a NOOP\r\nb LOGIN joe {6}\r\ns3cret\r\n", "", ErrLiteralLogin},
		{"with a non-synchronizing literal", "b LOGIN {3+}\r\njoe {6+}\r\ns3cret\r\n", "", ErrLiteralLogin},
		{"a brace that is not at the end", "a LIST \"\" {1}x\r\nb LOGIN joe s3cret\r\n", "a LIST \"\" {1}x\r\nb LOGIN\r\n", nil},
		{"a long tag", long + " LOGIN joe x\r\nb LOGIN joe s3cret\r\n", long + " LOGIN joe x\r\nb LOGIN\r\n", nil},
		{"an incomplete line", "a LOG", "a LOG", nil},
	} {
		for _, n := range []int{1, 2, 3, 5, 100} {
			got, err := send(new(Tracker), test.text, n)
			if !errors.Is(err, test.err) || err == nil && got != test.want {
				t.Errorf("%s, in pieces of %d: %q, %v", test.name, n, got, err)
			}
			if strings.Contains(got, "s3cret") && !strings.Contains(test.want, "s3cret") {
				t.Errorf("%s, in pieces of %d: the password was forwarded: %q", test.name, n, got)
			}
		}
	}
}

// FuzzTracker checks that text without a login is forwarded unchanged, however it is
// cut into pieces.
func FuzzTracker(f *testing.F) {
	f.Add("a NOOP\r\nb SELECT x\r\n", 3)
	f.Add("a CREATE {3+}\r\nabc\r\n", 1)
	f.Fuzz(func(t *testing.T, text string, n int) {
		got, err := send(new(Tracker), text, max(1, n))
		upper := strings.ToUpper(text)
		if (got != text || err != nil) && !strings.Contains(upper, " LOGIN") && !strings.Contains(upper, " AUTHENTICATE") {
			t.Errorf("%q was forwarded as %q, %v", text, got, err)
		}
	})
}
