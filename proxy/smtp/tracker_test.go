package smtp

import (
	"fmt"
	"strings"
	"testing"
)

// say gives text to a tracker in pieces of n octets, and returns what is
// forwarded of it.
func say(t *Tracker, text string, n int) string {
	var forwarded strings.Builder
	for p := []byte(text); len(p) > 0; {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		edited, _ := t.FromClient(piece)
		forwarded.Write(edited)
	}
	return forwarded.String()
}

func answer(t *Tracker, text string, n int) {
	for p := []byte(text); len(p) > 0; {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		t.FromUpstream(piece)
	}
}

// A step is what the client (C) or the upstream (U) sends, and what is known then.
type step struct {
	who, text string
	owed      string
}

const (
	nothing = "nothing"
	aReply  = "a reply"
	both    = "a reply, and the rest of a message"
	rest    = "the rest of a message"
	unknown = "unknown"
)

func state(t *Tracker) string {
	owed, known := t.Owed()
	switch unfinished := t.Unfinished(); {
	case !known && unfinished:
		return unknown
	case owed && unfinished:
		return both
	case owed:
		return aReply
	case unfinished:
		return rest
	}
	return nothing
}

const message = "Subject: x\r\n\r\n.\r\n..\r\nAUTH PLAIN in a message\r\n"

func TestTracker(t *testing.T) {
	for name, steps := range map[string][]step{
		"commands one by one": {
			{"C", "NOOP\r\n", aReply}, {"U", "250 ok\r\n", nothing},
			{"C", "EHLO x\r\n", aReply}, {"U", "250-x\r\n250-PIPELINING\r\n", aReply}, {"U", "250 SIZE\r\n", nothing},
		},
		"a message by DATA": {
			{"C", "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", both}, {"U", "250 ok\r\n250 ok\r\n354 go\r\n", rest},
			{"C", "Subject: x\r\n\r\nhello\r\n", rest}, {"C", ".\r\n", aReply}, {"U", "250 taken\r\n", nothing},
		},
		"an empty message": {
			{"C", "DATA\r\n", both}, {"U", "354 go\r\n", rest}, {"C", ".\r\nQUIT\r\n", aReply}, {"U", "250 taken\r\n", aReply}, {"U", "221 bye\r\n", nothing},
		},
		"a message that does not wait for 354": {
			{"C", "DATA\r\nhello\r\n.\r\nQUIT\r\n", aReply}, {"U", "354 go\r\n", aReply}, {"U", "250 taken\r\n", aReply}, {"U", "221 bye\r\n", nothing},
		},
		"DATA is refused": {
			{"C", "DATA\r\n", both}, {"U", "554 no recipients\r\n", nothing}, {"C", "NOOP\r\n", aReply}, {"U", "250 ok\r\n", nothing},
		},
		"DATA is refused, and the message sent": {
			{"C", "DATA\r\nhello\r\n.\r\n", aReply}, {"U", "554 no recipients\r\n500 what\r\n500 what\r\n", unknown},
		},
		"a message is refused before its end": {
			{"C", "DATA\r\n", both}, {"U", "354 go\r\n", rest}, {"C", "hello\r\n", rest}, {"U", "552 too much\r\n", unknown},
		},
		"a message by BDAT, pipelined": {
			{"C", "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 12 LAST\r\nQUIT\r\nRSET\r\n", aReply},
			{"U", "250 ok\r\n250 ok\r\n", aReply}, {"U", "250 taken\r\n", nothing},
		},
		"a chunk that has not come": {
			{"C", "BDAT 5\r\nhell", both}, {"U", "250 ok\r\n", rest}, {"C", "o", nothing},
		},
		"a reply that was not awaited": {
			{"U", "421 4.4.2 idle for too long\r\n", unknown},
		},
		"a go-ahead for something unknown": {
			{"C", "XEXCH50 10 2\r\n", aReply}, {"U", "354 send it\r\n", unknown}, {"C", "0123456789", unknown},
		},
		"not SMTP": {{"C", "NOOP\r\n", aReply}, {"U", "hello\r\n", unknown}},
		"CR in a message": {
			{"C", "DATA\r\n", both}, {"U", "354 go\r\n", rest}, {"C", "\r\r\n\r\n.\r\r\n", rest}, {"C", ".\r\n", aReply}, {"U", "250 taken\r\n", nothing},
		},
	} {
		for _, n := range []int{1, 2, 3, 5, 4096} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				tracker := new(Tracker)
				if owed, known := tracker.Owed(); owed || !known {
					t.Error("something is owed at the beginning")
				}
				for i, s := range steps {
					if s.who == "U" {
						answer(tracker, s.text, n)
					} else if got := say(tracker, s.text, n); got != s.text {
						t.Errorf("step %d: %q was forwarded as %q", i, s.text, got)
					}
					if owed := state(tracker); owed != s.owed {
						t.Errorf("after step %d: %q: %s is owed", i, s.text, owed)
					}
				}
			})
		}
	}
}

// AUTH loses its arguments wherever it is a command, and a message is not touched.
func TestTrackerStripsAUTH(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"at once", "AUTH PLAIN AGpvZQBzM2NyZXQ=\r\nMAIL FROM:<a@b>\r\n", "AUTH\r\nMAIL FROM:<a@b>\r\n"},
		{"after EHLO, RSET and NOOP", "EHLO x\r\nRSET\r\nnoop\r\nauth login am9l\r\n", "EHLO x\r\nRSET\r\nnoop\r\nAUTH\r\n"},
		{"ended by a bare LF", "AUTH PLAIN AGpvZQBzM2NyZXQ=\nNOOP\r\n", "AUTH\r\nNOOP\r\n"},
		{"after a tab", "AUTH\tPLAIN AGpvZQBzM2NyZXQ=\r\n", "AUTH\r\n"},
		{"after a message", "DATA\r\n" + strings.ReplaceAll(message, "\r\n.\r\n", "\r\n") + ".\r\nAUTH PLAIN x\r\n",
			"DATA\r\n" + strings.ReplaceAll(message, "\r\n.\r\n", "\r\n") + ".\r\nAUTH\r\n"},
		{"in a chunk, and after it", "BDAT 16\r\nAUTH PLAIN abcd\nAUTH PLAIN x\r\n", "BDAT 16\r\nAUTH PLAIN abcd\nAUTH\r\n"},
		{"no AUTH", "AUTHOR x\r\nAU\r\n", "AUTHOR x\r\nAU\r\n"},
	} {
		for _, n := range []int{1, 2, 3, 5, 4096} {
			if got := say(new(Tracker), test.text, n); got != test.want {
				t.Errorf("%s, in pieces of %d: %q", test.name, n, got)
			}
		}
	}
}

// A client that pipelines without end costs a bounded amount of memory.
func TestTrackerIsBounded(t *testing.T) {
	tracker := new(Tracker)
	say(tracker, strings.Repeat("NOOP\r\n", 2*maxAwaited), 4096)
	if len(tracker.awaited) > maxAwaited {
		t.Error(len(tracker.awaited))
	}
	if got := state(tracker); got != unknown {
		t.Error(got)
	}
}

// FuzzTracker: what a client says reaches the upstream as it is, however it comes
// in pieces, if it holds no AUTH.
func FuzzTracker(f *testing.F) {
	f.Add("DATA\r\nx\r\n.\r\nQUIT\r\n", "354 go\r\n250 ok\r\n", 3)
	f.Add("BDAT 3\r\nabcNOOP\r\n", "250-x\r\n250 ok\r\n", 1)
	f.Fuzz(func(t *testing.T, client, upstream string, n int) {
		n = max(1, n)
		tracker := new(Tracker)
		got := say(tracker, client, n)
		answer(tracker, upstream, n)
		got += say(tracker, client, n) + string(tracker.Held())
		if want := client + client; got != want && !strings.Contains(strings.ToUpper(want), "AUTH") {
			t.Errorf("%q was forwarded as %q", want, got)
		}
	})
}

func BenchmarkTracker(b *testing.B) {
	line := strings.Repeat("x", 76) + "\r\n"
	body := []byte(strings.Repeat(line, 64<<10/len(line)))
	tracker := new(Tracker)
	say(tracker, "DATA\r\n", 10)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		tracker.FromClient(body)
	}
}
