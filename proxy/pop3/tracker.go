package pop3

import (
	"bytes"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Tracker follows what a client sends after its login, which are commands and
// nothing else (RFC 1939). It takes the credentials out of a second login, so that
// the local password does not reach the upstream, which answers that the command
// is wrong. The zero value is ready to use.
type Tracker struct{ filter *wire.CommandFilter }

// FromClient returns p as it is to reach the upstream. p must not be empty. There
// is no error.
func (t *Tracker) FromClient(p []byte) ([]byte, error) {
	if t.filter == nil {
		t.filter = &wire.CommandFilter{Decide: decide}
	}
	return wire.Edit(p, func(p []byte) (int, []byte) {
		n, forward, _ := t.filter.Next(p)
		return n, forward
	}), nil
}

// Held returns what the Tracker holds back of a line without an end.
func (t *Tracker) Held() []byte {
	if t.filter == nil {
		return nil
	}
	return t.filter.Held()
}

// FromUpstream does nothing: of POP3 only the commands are followed.
func (t *Tracker) FromUpstream([]byte) {}

// Unfinished reports that the client is not known to be within a message.
func (t *Tracker) Unfinished() bool { return false }

// Owed reports that it is not known whether the upstream owes an answer.
func (t *Tracker) Owed() (owed, known bool) { return false, false }

// logins are the commands that carry a user name or a password, or begin a
// mechanism.
var logins = []string{"USER", "PASS", "APOP", "AUTH"}

func decide(line []byte, enough bool) (wire.Verdict, string) {
	end := bytes.IndexAny(line, " \t")
	if end < 0 && !enough && len(line) <= len("AUTH") {
		return wire.Undecided, ""
	}
	if end < 0 {
		end = len(line)
	}
	if slices.Contains(logins, strings.ToUpper(string(line[:end]))) {
		// PASS without a password is wrong everywhere. AUTH without a mechanism may
		// be a question that is answered (RFC 1734 as some servers have it).
		return wire.Replace, "PASS"
	}
	return wire.Forward, ""
}
