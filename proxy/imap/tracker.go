package imap

import (
	"bytes"
	"errors"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// ErrLiteralLogin is a second login with a literal, whose octets may be on their
// way already.
var ErrLiteralLogin = errors.New("second login with a literal")

// A Tracker follows what a client sends after its login. It takes the credentials
// out of a second login, so that the local password does not reach the upstream,
// which answers that the command is wrong. It looks at commands until the client
// selects a mailbox, sends a literal or begins compression: from then on it cannot
// tell commands from messages without parsing all of them. The zero value is
// ready to use.
type Tracker struct {
	filter  *wire.CommandFilter
	done    bool
	literal bool // the line ends, as far as it has come, as one before a literal does
	login   bool // the line is a login
}

// FromClient returns p as it is to reach the upstream. p must not be empty. The
// only error is ErrLiteralLogin.
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
		n, forward, over := t.filter.Next(p)
		if err2 := t.literals(p[:n], over); err2 != nil {
			err = err2
		}
		return n, forward
	})
	return p, err
}

// Held returns what the Tracker holds back of a line without an end.
func (t *Tracker) Held() []byte {
	if t.filter == nil {
		return nil
	}
	return t.filter.Held()
}

// FromUpstream does nothing: of IMAP only the commands are followed.
func (t *Tracker) FromUpstream([]byte) {}

// Unfinished reports that the client is not known to be within a message.
func (t *Tracker) Unfinished() bool { return false }

// Owed reports that it is not known whether the upstream owes an answer.
func (t *Tracker) Owed() (owed, known bool) { return false, false }

// decide looks at a command for its tag and its name (RFC 9051 section 9).
func (t *Tracker) decide(line []byte, enough bool) (wire.Verdict, string) {
	tag, rest, _ := bytes.Cut(line, []byte(" "))
	verb, _, whole := bytes.Cut(rest, []byte(" "))
	if !whole && !enough {
		return wire.Undecided, ""
	}
	t.login = false
	switch strings.ToUpper(string(verb)) {
	case "LOGIN", "AUTHENTICATE":
		t.login = true
		return wire.Replace, string(tag) + " LOGIN"
	case "SELECT", "EXAMINE", "COMPRESS":
		t.done = true
	}
	return wire.Forward, ""
}

// literals notes whether the line that part belongs to, and ends if over,
// announces a literal at its end (RFC 9051 section 4.3).
func (t *Tracker) literals(part []byte, over bool) error {
	if end := bytes.TrimRight(part, "\r\n"); len(end) > 0 {
		t.literal = end[len(end)-1] == '}'
	}
	if !over || !t.literal {
		t.literal = t.literal && !over
		return nil
	}
	t.done = true
	if t.login {
		return ErrLiteralLogin
	}
	return nil
}
