package imap

import (
	"strings"
	"testing"
)

// A step is a part of the stream of the client (C) or the upstream (U), and the
// state of the tracker after it.
type step struct{ from, text, state string }

const (
	nothing    = "nothing is owed"
	aReply     = "a reply is owed"
	unfinished = "unfinished"
	both       = "a reply is owed, and unfinished"
	unknown    = "unknown"
	compressed = "unknown: compressed"
)

func state(t *Tracker) string {
	owed, known := t.Owed()
	switch within := t.Unfinished(); {
	case !known && within:
		return unknown
	case !known:
		return compressed
	case owed && within:
		return both
	case owed:
		return aReply
	case within:
		return unfinished
	}
	return nothing
}

// The upstream owes a reply to each command until the reply is complete, however the
// input is cut into pieces.
func TestTrackerReplies(t *testing.T) {
	many := strings.Repeat("a NOOP\r\n", maxPending)
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"an idle session", []step{
			{"U", "* 1 EXISTS\r\n", nothing},
			{"C", "a NOOP\r\n", aReply},
			{"U", "* 2 EXISTS\r\n", aReply},
			{"U", "a OK done\r\n", nothing},
		}},
		{"NOOP and APPEND in one piece", []step{
			{"C", "a NOOP\r\nb APPEND INBOX {14+}\r\nc NOOP\r\nhello\r\n\r\n", aReply},
			{"U", "a OK\r\n", aReply},
			{"U", "* 5 EXISTS\r\n", aReply},
			{"U", "b OK [APPENDUID 1 2] done\r\n", nothing},
		}},
		{"replies in another order", []step{
			{"C", "a FETCH 1 FLAGS\r\nb NOOP\r\n", aReply},
			{"U", "b OK\r\n", aReply},
			{"U", "a OK\r\n", nothing},
		}},
		{"the same tag twice", []step{
			{"C", "a NOOP\r\na NOOP\r\n", aReply},
			{"U", "a OK\r\n", aReply},
			{"U", "a OK\r\n", nothing},
		}},
		{"a synchronizing literal", []step{
			{"C", "a APPEND INBOX {7}\r\n", both},
			{"U", "+ go\r\n", unfinished},
			{"C", "b OK", unfinished},
			{"C", " \r\n", unfinished},
			{"C", "\r\n", aReply},
			{"U", "a OK\r\n", nothing},
		}},
		{"a refused literal", []step{
			{"C", "a APPEND Nowhere {7}\r\n", both},
			{"U", "a NO [TRYCREATE] no\r\n", nothing},
			{"C", "b CREATE Nowhere\r\n", aReply},
			{"U", "b OK\r\n", nothing},
		}},
		{"several literals, one of them empty", []step{
			{"C", "a SEARCH OR FROM {3+}\r\nx\r\n SUBJECT {0+}\r\n TO {1}\r\n", both},
			{"U", "+\r\n", unfinished},
			{"C", "x\r\n", aReply},
			{"U", "* SEARCH\r\na OK\r\n", nothing},
		}},
		{"a message that looks like replies", []step{
			{"C", "a FETCH 1 BODY[]\r\n", aReply},
			{"U", "* 1 FETCH (BODY[] {15}\r\na OK\r\n", both},
			{"U", "* BAD x\r\n", both},
			{"U", ")\r\n", aReply},
			{"U", "a OK\r\n", nothing},
		}},
		{"text that looks like a literal", []step{
			{"C", "a NOOP\r\n", aReply},
			{"U", "* OK see {14}\r\n* no {3}\r\na OK fine {14}\r\n", nothing},
		}},
		{"IDLE", []step{
			{"C", "a IDLE\r\n", nothing},
			{"U", "+ idling\r\n* 3 EXISTS\r\n", nothing},
			{"C", "DONE\r\n", aReply},
			{"U", "a OK\r\n", nothing},
		}},
		{"IDLE after a command without a reply", []step{
			{"C", "a APPEND x {1+}\r\ny\r\nb idle\r\n", aReply},
			{"U", "a OK\r\n+ idling\r\n", nothing},
		}},
		{"a refused IDLE", []step{
			{"C", "a IDLE\r\n", nothing},
			{"U", "a NO not now\r\n", nothing},
			{"C", "b NOOP\r\n", aReply},
			{"U", "b OK\r\n", nothing},
		}},
		{"IDLE and DONE together, refused", []step{
			{"C", "a IDLE\r\nDONE\r\n", aReply},
			{"U", "a BAD what\r\n", nothing},
		}},
		{"an incomplete response", []step{
			{"U", "* 3 EXI", unfinished},
			{"U", "STS\r\n", nothing},
		}},
		{"an empty line", []step{
			{"C", "\r\n", nothing},
			{"U", "* BAD empty\r\n", unknown},
			{"C", "a NOOP\r\n", unknown},
		}},
		{"an unexpected reply", []step{{"U", "x OK\r\n", unknown}}},
		{"a refused literal that the client sends early", []step{
			{"C", "a APPEND INBOX {7}\r\nb NOOP", unfinished},
			{"U", "a NO no\r\n", unknown},
		}},
		{"too many commands to count", []step{{"C", many, aReply}, {"C", "a NOOP\r\n", unknown}}},
		{"compression", []step{
			{"C", "a COMPRESS DEFLATE\r\n", compressed},
			{"U", "a OK\r\n\x00\x01", compressed},
			{"C", "\x00\r\n", compressed},
		}},
		{"a second login", []step{
			{"C", "a LOGIN joe s3cret\r\n", aReply},
			{"U", "a BAD\r\n", nothing},
		}},
		{"a long tag", []step{
			{"C", strings.Repeat("x", 200) + " NOOP\r\n", aReply},
			{"U", strings.Repeat("x", 200) + " OK\r\n", nothing},
		}},
	} {
		for _, n := range []int{1, 2, 3, 7, 10_000} {
			tracker := new(Tracker)
			for i, s := range test.steps {
				if s.from == "U" {
					sendReplies(tracker, s.text, n)
				} else if _, err := send(tracker, s.text, n); err != nil {
					t.Errorf("%s: %v", test.name, err)
				}
				if got := state(tracker); got != s.state {
					t.Errorf("%s, step %d in pieces of %d: %s; want: %s", test.name, i, n, got, s.state)
				}
			}
		}
	}
}

// sendReplies passes text of the upstream to a tracker in pieces of n octets.
func sendReplies(t *Tracker, text string, n int) {
	for p := []byte(text); len(p) > 0; {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		t.FromUpstream(piece)
	}
}

// FuzzTrackerReplies checks that the state does not depend on how the input is cut
// into pieces.
func FuzzTrackerReplies(f *testing.F) {
	f.Add("a APPEND x {3+}\r\nabc\r\n", "a OK\r\n", 2)
	f.Add("a IDLE\r\nDONE\r\n", "+ x\r\n* 1 FETCH (x {3}\r\nabc)\r\na OK\r\n", 1)
	f.Fuzz(func(t *testing.T, client, upstream string, n int) {
		whole, pieces := new(Tracker), new(Tracker)
		send(whole, client, len(client)+1)
		sendReplies(whole, upstream, len(upstream)+1)
		send(pieces, client, max(1, n))
		sendReplies(pieces, upstream, max(1, n))
		if a, b := state(whole), state(pieces); a != b {
			t.Errorf("%q, %q in pieces of %d: %s; in one: %s", client, upstream, n, b, a)
		}
	})
}
