package smtp

import (
	"fmt"
	"strings"
	"testing"
)

// send passes text to a tracker in pieces of n octets and returns the forwarded
// text.
func send(t *Tracker, text string, n int) string {
	var forwarded strings.Builder
	for p := []byte(text); len(p) > 0; {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		edited, _ := t.FromClient(piece)
		forwarded.Write(edited)
	}
	return forwarded.String()
}

// sendReply passes text of the upstream to a tracker in pieces of n octets.
func sendReply(t *Tracker, text string, n int) {
	for p := []byte(text); len(p) > 0; {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		t.FromUpstream(piece)
	}
}

// A step is a part of the stream of the client (C) or the upstream (U), and the
// state of the tracker after it.
type step struct {
	from, text string
	want       string
}

const (
	nothing = "nothing"
	aReply  = "a reply"
	both    = "a reply, and the rest of a message"
	rest    = "the rest of a message"
	unknown = "unknown"
)

// state describes what a tracker reports.
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
		"an incomplete chunk": {
			{"C", "BDAT 5\r\nhell", both}, {"U", "250 ok\r\n", rest}, {"C", "o", nothing},
		},
		"an unexpected reply": {
			{"U", "421 4.4.2 idle for too long\r\n", unknown},
		},
		"a 354 reply to an unknown command": {
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
					t.Error("a reply is owed at the beginning")
				}
				for i, s := range steps {
					if s.from == "U" {
						sendReply(tracker, s.text, n)
					} else if got := send(tracker, s.text, n); got != s.text {
						t.Errorf("step %d: %q was forwarded as %q", i, s.text, got)
					}
					if owed := state(tracker); owed != s.want {
						t.Errorf("after step %d: %q: state is %q", i, s.text, owed)
					}
				}
			})
		}
	}
}

// AUTH loses its arguments when it is a command. Messages are not changed.
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
			if got := send(new(Tracker), test.text, n); got != test.want {
				t.Errorf("%s, in pieces of %d: %q", test.name, n, got)
			}
		}
	}
}

// Memory is limited for a client that pipelines endlessly.
func TestTrackerMemory(t *testing.T) {
	tracker := new(Tracker)
	send(tracker, strings.Repeat("NOOP\r\n", 2*maxPending), 4096)
	if len(tracker.pending) > maxPending {
		t.Error(len(tracker.pending))
	}
	if got := state(tracker); got != unknown {
		t.Error(got)
	}
}

// FuzzTracker checks that text without AUTH is forwarded unchanged, however it is
// cut into pieces.
func FuzzTracker(f *testing.F) {
	f.Add("DATA\r\nx\r\n.\r\nQUIT\r\n", "354 go\r\n250 ok\r\n", 3)
	f.Add("BDAT 3\r\nabcNOOP\r\n", "250-x\r\n250 ok\r\n", 1)
	f.Fuzz(func(t *testing.T, client, upstream string, n int) {
		n = max(1, n)
		tracker := new(Tracker)
		got := send(tracker, client, n)
		sendReply(tracker, upstream, n)
		got += send(tracker, client, n) + string(tracker.Held())
		if want := client + client; got != want && !strings.Contains(strings.ToUpper(want), "AUTH") {
			t.Errorf("%q was forwarded as %q", want, got)
		}
	})
}

func BenchmarkTracker(b *testing.B) {
	line := strings.Repeat("x", 76) + "\r\n"
	body := []byte(strings.Repeat(line, 64<<10/len(line)))
	tracker := new(Tracker)
	send(tracker, "DATA\r\n", 10)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		tracker.FromClient(body)
	}
}

// The credentials of a second AUTH do not reach an upstream that has sent unexpected
// replies, and messages are not changed.
func TestCredentialsAfterUnexpectedReply(t *testing.T) {
	for n := 1; n < 50; n += 7 {
		k := new(Tracker)
		sendReply(k, "250 unasked\r\n", n)
		if got := send(k, "NOOP\r\nAUTH PLAIN c2VjcmV0\r\n", n); got != "NOOP\r\nAUTH\r\n" {
			t.Errorf("in pieces of %d: %q", n, got)
		}
		const message = "AUTH PLAIN of the message\r\n.\r\n"
		got := send(k, "DATA\r\n", n)
		sendReply(k, "501 no\r\n250 unasked\r\n354 go\r\n", n)
		if got += send(k, message+"AUTH PLAIN c2VjcmV0\r\n", n); got != "DATA\r\n"+message+"AUTH\r\n" {
			t.Errorf("in pieces of %d: %q", n, got)
		}
		got = send(k, "DATA\r\n", n)
		sendReply(k, "554 no\r\n", n)
		if got += send(k, "AUTH PLAIN c2VjcmV0\r\n", n); got != "DATA\r\nAUTH\r\n" {
			t.Errorf("in pieces of %d: %q", n, got)
		}
	}

	k := new(Tracker)
	got := send(k, "AUTH PLA", 8)
	sendReply(k, "501 no\r\n250 unasked\r\n", 100)
	if got += send(k, "IN c2VjcmV0\r\n", 100); got != "AUTH\r\n" {
		t.Errorf("an unexpected reply within AUTH: %q", got)
	}
}

// TestTrackerBareLF follows devices, which may end commands and messages with LF alone. A
// device that ends its commands with CRLF cannot end a message with LF.
func TestTrackerBareLF(t *testing.T) {
	const owed = "250 ok\r\n354 go\r\n"
	for _, test := range []struct {
		name, text, want string
		bareLF           bool
	}{
		{"LF", "MAIL FROM:x\nDATA\nSubject: x\n\n.x\n..\n.\n", aReply, true},
		{"LF, then CRLF", "MAIL FROM:x\nDATA\nSubject: x\r\n\r\n.\r\n", aReply, true},
		{"an empty message", "MAIL FROM:x\nDATA\n.\n", aReply, true},
		{"LF, not at its end", "MAIL FROM:x\nDATA\nSubject: x\n\nx.\n", rest, true},
		{"CRLF, LF in the message", "MAIL FROM:x\r\nDATA\r\nSubject: x\n\n.\n", rest, true},
		{"spaces before DATA", "MAIL FROM:x\r\n" + strings.Repeat(" ", 63) + "\tDATA\r\nSubject: x\r\n", rest, true},
		{"a space after CR", "MAIL FROM:x\r\nDATA\r \nSubject: x\n", rest, true},
		{"no device", "MAIL FROM:x\nDATA\nSubject: x\n\n.\n", rest, false},
	} {
		for n := 1; n <= len(test.text); n++ {
			tracker := &Tracker{BareLF: test.bareLF}
			send(tracker, test.text, n)
			sendReply(tracker, owed, n)
			if got := state(tracker); got != test.want {
				t.Errorf("%s, %d octets at a time: %s, want %s", test.name, n, got, test.want)
			}
		}
	}
}

// TestTrackerDeviceAuth has a device log in for each message. Its AUTH reaches the upstream.
func TestTrackerDeviceAuth(t *testing.T) {
	const dialogue = "RSET\r\nAUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\nAUTH PLAIN AGEAYg==\r\n"
	for n := 1; n <= len(dialogue); n++ {
		tracker := &Tracker{BareLF: true}
		if got := send(tracker, dialogue, n); got != dialogue {
			t.Errorf("%d octets at a time: forwarded %q", n, got)
		}
		sendReply(tracker, "250 ok\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n235 ok\r\n", n)
		if got := state(tracker); got != nothing {
			t.Errorf("%d octets at a time: %s, want %s", n, got, nothing)
		}
	}
}
