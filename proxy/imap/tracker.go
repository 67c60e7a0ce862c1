package imap

import (
	"bytes"
	"errors"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// ErrLiteralLogin is the error of a second login with a literal. The octets of the
// literal may already be in transit, so the session must end.
var ErrLiteralLogin = errors.New("second login with a literal")

// A Tracker inspects what a client sends after login. It removes the credentials
// from a second login, so that the local password does not reach the upstream; the
// upstream answers that the command is malformed. It inspects commands until the
// client selects a mailbox, sends a literal or begins compression. From then on it
// could not tell commands from message text without a full parser. The zero value is
// ready for use.
type Tracker struct {
	filter  *wire.CommandFilter
	done    bool
	literal bool // the current line ends in "}" so far
	login   bool // the current line is a login
}

// FromClient returns the octets to forward for p, which must not be empty. The only
// error is ErrLiteralLogin.
func (t *Tracker) FromClient(p []byte) ([]byte, error) {
	if t.done {
		return p, nil
	}
	if t.filter == nil {
		t.filter = &wire.CommandFilter{Decide: t.decide}
	}
	var err error
	p = wire.Edit(p, func(p []byte) (int, []byte) {
		if t.done {
			return len(p), p
		}
		n, forward, lineEnd := t.filter.Next(p)
		if err2 := t.checkLiteral(p[:n], lineEnd); err2 != nil {
			err = err2
		}
		return n, forward
	})
	return p, err
}

// Held returns the octets of an incomplete line that the Tracker holds back, and
// forgets them.
func (t *Tracker) Held() []byte {
	if t.filter == nil {
		return nil
	}
	return t.filter.Held()
}

// FromUpstream does nothing: an IMAP Tracker inspects only commands.
func (t *Tracker) FromUpstream([]byte) {}

// Unfinished returns false: the Tracker does not know message boundaries.
func (t *Tracker) Unfinished() bool { return false }

// Owed returns known == false: the Tracker does not count replies.
func (t *Tracker) Owed() (owed, known bool) { return false, false }

// decide is the CommandFilter.Decide of the Tracker. A command is a tag and a name
// (RFC 9051 section 9).
func (t *Tracker) decide(line []byte, final bool) (wire.Verdict, string) {
	tag, rest, _ := bytes.Cut(line, []byte(" "))
	name, _, complete := bytes.Cut(rest, []byte(" "))
	if !complete && !final {
		return wire.Undecided, ""
	}
	t.login = false
	switch strings.ToUpper(string(name)) {
	case "LOGIN", "AUTHENTICATE":
		t.login = true
		return wire.Replace, string(tag) + " LOGIN"
	case "SELECT", "EXAMINE", "COMPRESS":
		t.done = true
	}
	return wire.Forward, ""
}

// checkLiteral checks for a literal announcement at the end of the current line (RFC
// 9051 section 4.3). part is the next part of the line, which ends with it if
// lineEnd is true.
func (t *Tracker) checkLiteral(part []byte, lineEnd bool) error {
	if end := bytes.TrimRight(part, "\r\n"); len(end) > 0 {
		t.literal = end[len(end)-1] == '}'
	}
	if !lineEnd || !t.literal {
		t.literal = t.literal && !lineEnd
		return nil
	}
	t.done = true
	if t.login {
		return ErrLiteralLogin
	}
	return nil
}
