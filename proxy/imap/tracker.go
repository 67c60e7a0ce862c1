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

// A Tracker follows a session after login. It knows which replies the upstream owes. It
// also removes the credentials from a second login, so that the local password does not
// reach the upstream; the upstream answers that the command is malformed. For that it
// inspects commands until the client selects a mailbox, sends a literal or begins
// compression. The zero value is ready for use. One goroutine may call FromClient and
// Held while another calls FromUpstream.
type Tracker struct {
	replies pendingReplies

	// The fields below are used by FromClient and Held.
	filter  *wire.CommandFilter
	done    bool
	literal bool // the current line ends in "}" so far
	login   bool // the current line is a login
}

// FromClient returns the octets to forward for p, which must not be empty. The only
// error is ErrLiteralLogin.
func (t *Tracker) FromClient(p []byte) ([]byte, error) {
	t.replies.fromClient(p)
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

// FromUpstream inspects the upstream's responses.
func (t *Tracker) FromUpstream(p []byte) { t.replies.fromUpstream(p) }

// Unfinished reports whether the client is within a command with literals, or the
// upstream within a response, as far as the Tracker knows.
func (t *Tracker) Unfinished() bool { return t.replies.unfinished() }

// Owed reports whether the upstream owes a reply. known is false after compression
// began, and after a reply to no known command. While the client idles, the upstream
// owes nothing.
func (t *Tracker) Owed() (owed, known bool) { return t.replies.owed() }

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
