package pop3

import (
	"strings"
	"testing"
)

// A step is what the client (C) or the upstream (U) sends, and what is known then.
type step struct{ who, text, state string }

const (
	nothing = "nothing is owed"
	aReply  = "a reply is owed"
	unknown = "it is not known whether a reply is owed"
)

func state(t *Tracker) string {
	switch owed, known := t.Owed(); {
	case known == t.Unfinished():
		return "a contradiction"
	case !known:
		return unknown
	case owed:
		return aReply
	}
	return nothing
}

// The reply to each command is owed until it has come to its last line, however the
// octets come in pieces.
func TestTrackerReplies(t *testing.T) {
	many := strings.Repeat("NOOP\r\n", maxAwaited)
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"replies of one line", []step{
			{"C", "STAT\r\nLIST 1\r\nuidl 1\r\nDELE 1\r\n", aReply},
			{"U", "+OK 1 2\r\n+OK 1 2\r\n-ERR no\r\n", aReply},
			{"U", "+OK\r\n", nothing},
		}},
		{"replies of several lines", []step{
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
		{"half a command", []step{{"C", "NOO", nothing}, {"C", "P\r\n", aReply}, {"U", "+OK\r\n", nothing}}},
		{"logins", []step{
			{"C", "USER joe\r\nPASS s3cret\r\nAUTH\r\nAUTH PLAIN x\r\n", aReply},
			{"U", "-ERR\r\n-ERR\r\n-ERR\r\n-ERR\r\n", nothing},
		}},
		{"an empty line", []step{{"C", "\r\n", aReply}, {"U", "-ERR\r\n", nothing}}},
		{"an unknown command that is refused", []step{{"C", "XTND XLST\r\n", aReply}, {"U", "-ERR\r\n", nothing}}},
		{"an unknown command that is carried out", []step{{"C", "XTND XLST\r\n", aReply}, {"U", "+OK\r\n", unknown}}},
		{"a reply that nobody awaits", []step{{"U", "+OK\r\n", unknown}}},
		{"no reply", []step{{"C", "STAT\r\n", aReply}, {"U", "hello\r\n", unknown}}},
		{"too many commands to count", []step{{"C", many, aReply}, {"C", "NOOP\r\n", unknown}}},
	} {
		for _, n := range []int{1, 2, 3, 7, 100_000} {
			tracker := new(Tracker)
			for i, s := range test.steps {
				for p := []byte(s.text); len(p) > 0; {
					piece := p[:min(n, len(p))]
					p = p[len(piece):]
					if s.who == "U" {
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
