package pop3

import (
	"bytes"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Tracker inspects what a client sends after login, which is only commands (RFC
// 1939). It removes the credentials from a second login, so that the local password
// does not reach the upstream; the upstream answers that the command is malformed.
// The zero value is ready for use.
type Tracker struct{ filter *wire.CommandFilter }

// FromClient returns the octets to forward for p, which must not be empty. The error
// is always nil.
func (t *Tracker) FromClient(p []byte) ([]byte, error) {
	if t.filter == nil {
		t.filter = &wire.CommandFilter{Decide: decide}
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

// FromUpstream does nothing: a POP3 Tracker inspects only commands.
func (t *Tracker) FromUpstream([]byte) {}

// Unfinished returns false: POP3 clients send no messages.
func (t *Tracker) Unfinished() bool { return false }

// Owed returns known == false: the Tracker does not count replies.
func (t *Tracker) Owed() (owed, known bool) { return false, false }

// logins are the commands that contain a user name or a password, or begin a
// mechanism.
var logins = []string{"USER", "PASS", "APOP", "AUTH"}

// decide is the CommandFilter.Decide of the Tracker.
func decide(line []byte, final bool) (wire.Verdict, string) {
	end := bytes.IndexAny(line, " \t")
	if end < 0 && !final && len(line) <= len("AUTH") {
		return wire.Undecided, ""
	}
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
