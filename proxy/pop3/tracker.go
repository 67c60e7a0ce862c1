package pop3

import (
	"bytes"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Tracker follows a session after login, in which a client sends only commands (RFC
// 1939). It counts the replies that the upstream owes. It also removes the credentials
// from a second login, so that the local password does not reach the upstream; the
// upstream answers that the command is malformed. The zero value is ready for use. One
// goroutine may call FromClient and Held while another calls FromUpstream.
type Tracker struct {
	replies pendingReplies
	filter  *wire.CommandFilter // used by FromClient and Held
}

// FromClient returns the octets to forward for p, which must not be empty. The error
// is always nil.
func (t *Tracker) FromClient(p []byte) ([]byte, error) {
	if t.filter == nil {
		t.filter = &wire.CommandFilter{Decide: t.decide}
	}
	return wire.Edit(p, func(p []byte) (int, []byte) {
		n, forward, _ := t.filter.Next(p)
		return n, forward
	}), nil
}

// Held returns the octets of an incomplete line that the Tracker holds back, and
// forgets them.
func (t *Tracker) Held() []byte {
	if t.filter == nil {
		return nil
	}
	return t.filter.Held()
}

// FromUpstream inspects the upstream's replies.
func (t *Tracker) FromUpstream(p []byte) { t.replies.fromUpstream(p) }

// Unfinished reports whether the count of replies is wrong. POP3 clients send no
// messages.
func (t *Tracker) Unfinished() bool {
	_, known := t.replies.owed()
	return !known
}

// Owed reports whether the upstream owes a reply. known is false once the count is
// wrong.
func (t *Tracker) Owed() (owed, known bool) { return t.replies.owed() }

// logins are the commands that contain a user name or a password, or begin a
// mechanism.
var logins = []string{"USER", "PASS", "APOP", "AUTH"}

// decide is the CommandFilter.Decide of the Tracker. It needs the whole line: the
// argument of LIST decides how many lines the reply has.
func (t *Tracker) decide(line []byte, final bool) (wire.Verdict, string) {
	if !final {
		return wire.Undecided, ""
	}
	t.replies.addCommand(string(line))
	end := bytes.IndexAny(line, " \t")
	if end < 0 {
		end = len(line)
	}
	if slices.Contains(logins, strings.ToUpper(string(line[:end]))) {
		// Every server refuses PASS without a password. Some servers answer AUTH
		// without a mechanism with a list of mechanisms.
		return wire.Replace, "PASS"
	}
	return wire.Forward, ""
}
