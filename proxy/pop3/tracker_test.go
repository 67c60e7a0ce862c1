package pop3

import (
	"strings"
	"testing"
)

// send passes text to a tracker in pieces of n octets and returns the forwarded
// text.
func send(text string, n int) string {
	var forwarded strings.Builder
	t := new(Tracker)
	for p := []byte(text); len(p) > 0; {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		edited, _ := t.FromClient(piece)
		forwarded.Write(edited)
	}
	return forwarded.String() + string(t.Held())
}

func TestTracker(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"PASS", "user joe\r\nPASS s3cret\r\n", "PASS\r\nPASS\r\n"},
		{"AUTH and APOP", "AUTH PLAIN AGpvZQBzM2NyZXQ=\r\nAPOP joe c4c9334bac560ecc979e58001b3e22fb\r\n", "PASS\r\nPASS\r\n"},
		{"between other commands", "STAT\r\nRETR 1\r\nPASS s3cret\r\nDELE 1\r\nQUIT\r\n", "STAT\r\nRETR 1\r\nPASS\r\nDELE 1\r\nQUIT\r\n"},
		{"a bare LF", "PASS s3cret\nSTAT\n", "PASS\r\nSTAT\n"},
		{"no login", "USERS\r\nPASSWORD\r\nUS\r\n\r\n", "USERS\r\nPASSWORD\r\nUS\r\n\r\n"},
		{"an incomplete line", "PAS", "PAS"},
	} {
		for _, n := range []int{1, 2, 3, 5, 100} {
			if got := send(test.text, n); got != test.want {
				t.Errorf("%s, in pieces of %d: %q", test.name, n, got)
			}
		}
	}
}

// FuzzTracker checks that text without a login is forwarded unchanged, however it is
// cut into pieces.
func FuzzTracker(f *testing.F) {
	f.Add("STAT\r\nRETR 1\r\n", 3)
	f.Fuzz(func(t *testing.T, text string, n int) {
		upper := strings.ToUpper(text)
		for _, login := range logins {
			if strings.Contains(upper, login) {
				return
			}
		}
		if got := send(text, max(1, n)); got != text {
			t.Errorf("%q was forwarded as %q", text, got)
		}
	})
}
