package pop3

import (
	"strings"
	"testing"
)

// A step is a part of the stream of the client (C) or the upstream (U), and the
// state of the tracker after it.
type step struct{ from, text, state string }

const (
	nothing = "nothing is owed"
	aReply  = "a reply is owed"
	unknown = "unknown"
)

func state(t *Tracker) string {
	switch owed, known := t.Owed(); {
	case known == t.Unfinished():
		return "inconsistent"
	case !known:
		return unknown
	case owed:
		return aReply
	}
	return nothing
}

// The upstream owes a reply to each command until the last line of the reply,
// however the input is cut into pieces.
func TestTrackerReplies(t *testing.T) {
	many := strings.Repeat("NOOP\r\n", maxPending)
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"single-line replies", []step{
			{"C", "STAT\r\nLIST 1\r\nuidl 1\r\nDELE 1\r\n", aReply},
			{"U", "+OK 1 2\r\n+OK 1 2\r\n-ERR no\r\n", aReply},
			{"U", "+OK\r\n", nothing},
		}},
		{"multi-line replies", []step{
			{"C", "LIST\r\nRETR 1\r\ntop 1 0\r\nUIDL\r\nCAPA\r\nQUIT\r\n", aReply},
			{"U", "+OK\r\n1 2\r\n.\r\n", aReply},
			{"U", "+OK\r\n+OK in a mail\r\n..\r\n.x\r\n\r\n.\r\n", aReply},
			{"U", "-ERR no\r\n", aReply},
			{"U", "+OK\r\n.\r\n+OK\r\nTOP\r\n.\r\n", aReply},
			{"U", "+OK bye\r\n", nothing},
		}},
		{"within a reply", []step{
			{"C", "RETR 1\r\n", aReply},
			{"U", "+OK\r\nhello\r\n", aReply},
			{"U", ".\r\n", nothing},
		}},
		{"an incomplete command", []step{{"C", "NOO", nothing}, {"C", "P\r\n", aReply}, {"U", "+OK\r\n", nothing}}},
		{"logins", []step{
			{"C", "USER joe\r\nPASS s3cret\r\nAUTH\r\nAUTH PLAIN x\r\n", aReply},
			{"U", "-ERR\r\n-ERR\r\n-ERR\r\n-ERR\r\n", nothing},
		}},
		{"an empty line", []step{{"C", "\r\n", aReply}, {"U", "-ERR\r\n", nothing}}},
		{"a refused unknown command", []step{{"C", "XTND XLST\r\n", aReply}, {"U", "-ERR\r\n", nothing}}},
		{"an accepted unknown command", []step{{"C", "XTND XLST\r\n", aReply}, {"U", "+OK\r\n", unknown}}},
		{"an unexpected reply", []step{{"U", "+OK\r\n", unknown}}},
		{"a line that is not a reply", []step{{"C", "STAT\r\n", aReply}, {"U", "hello\r\n", unknown}}},
		{"too many commands to count", []step{{"C", many, aReply}, {"C", "NOOP\r\n", unknown}}},
	} {
		for _, n := range []int{1, 2, 3, 7, 100_000} {
			tracker := new(Tracker)
			for i, s := range test.steps {
				for p := []byte(s.text); len(p) > 0; {
					piece := p[:min(n, len(p))]
					p = p[len(piece):]
					if s.from == "U" {
						tracker.FromUpstream(piece)
					} else {
						tracker.FromClient(piece)
					}
				}
				if got := state(tracker); got != s.state {
					t.Errorf("%s, step %d in pieces of %d: %s; want: %s", test.name, i, n, got, s.state)
				}
			}
		}
	}
}
