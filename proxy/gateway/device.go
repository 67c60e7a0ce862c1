package gateway

import (
	"errors"
	"regexp"
	"strings"
)

// A Device describes a session without AUTH, for a client that cannot authenticate: a
// printer, a scanner, a controller. Such a session accepts what old devices send: lines that
// end in LF alone, addresses without brackets, 8-bit text without 8BITMIME. It adds a missing
// Date and Message-ID. AUTH does not arrive here: proxy/smtp answers it.
type Device struct {
	// Account is what messages are sent as; nil if BySender finds it.
	Account *Account

	// BySender returns the account that a sender address names. If its error is or wraps
	// an *smtp.SMTPError, that is the reply, otherwise 550 5.7.1. It is not used if Account
	// is not nil.
	BySender func(sender string) (*Account, error)

	// Senders are patterns such as "*@example.com" for what MAIL FROM may be; "*" stands
	// for any text. Case does not matter. Empty allows all.
	Senders []string

	// RewriteSender is Rules.RewriteSender for this session.
	RewriteSender bool

	// Client is the address of the device, for Reports.
	Client string
}

// admitDevice finds the account of a message by its sender. It returns a Result with a
// Reply if the sender may not send.
func (s *session) admitDevice() Result {
	d := s.conn.device
	if !matchesAny(d.Senders, s.from) {
		err := errors.New("the sender " + orNull(s.from) + " is not allowed for this listener")
		return Result{Kind: SenderRefused, Err: err, Reply: status("550 5.7.1").reply("%v: allowed are %s", err, strings.Join(d.Senders, ", "))}
	}
	if d.Account != nil {
		return Result{}
	}
	s.account = nil
	err := errors.New("no account")
	var a *Account
	if d.BySender != nil {
		a, err = d.BySender(s.from)
	}
	if err != nil || a == nil {
		return Result{Kind: SenderRefused, Err: err, Reply: replyIn(err,
			status("550 5.7.1").reply("no account sends as %s", orNull(s.from)))}
	}
	s.account = a
	return Result{}
}

func orNull(sender string) string { return "<" + sender + ">" }

// matchesAny reports whether s matches one of the patterns, or there are none.
func matchesAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if matches(strings.ToLower(p), strings.ToLower(s)) {
			return true
		}
	}
	return len(patterns) == 0
}

// matches reports whether s matches pattern, in which "*" stands for any text.
func matches(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	s, ok := strings.CutPrefix(s, first)
	switch {
	case !ok:
		return false
	case !star:
		return s == ""
	}
	for i := range len(s) + 1 {
		if matches(rest, s[i:]) {
			return true
		}
	}
	return false
}

var (
	envelopeCommand = regexp.MustCompile(`(?i)^(MAIL +FROM|RCPT +TO)[ \t]*[: ][ \t]*(.*)$`)
	sizeParameter   = regexp.MustCompile(`(?i) (SIZE=[0-9]{1,9})( |$)`)
)

// normalize returns a command of a device in the form of RFC 5321: brackets around the
// address, no space around the colon, no parameters but SIZE, a name in HELO.
func (d *Device) normalize(line string) string {
	line = strings.TrimLeft(line, " \t")
	if verb := strings.ToUpper(line); verb == "HELO" || verb == "EHLO" {
		return verb + " unknown"
	}
	parts := envelopeCommand.FindStringSubmatch(line)
	if parts == nil {
		return line
	}
	command := strings.ToUpper(parts[1][:4]) + " FROM:"
	if command == "RCPT FROM:" {
		command = "RCPT TO:"
	}
	path, parameters := parts[2], ""
	if _, after, ok := strings.Cut(path, "<"); ok { // also behind a display name
		path = cutPath("<" + after)
		parameters = after[min(len(after), len(path)):]
	} else {
		path, parameters, _ = strings.Cut(path, " ")
		parameters = " " + parameters
	}
	if command == "MAIL FROM:" && d.RewriteSender && d.Account != nil && !strings.Contains(path, "@") {
		path = d.Account.Mailbox // a device without a domain, which is rewritten anyway
	}
	if size := sizeParameter.FindStringSubmatch(parameters); size != nil {
		return command + "<" + path + "> " + size[1]
	}
	return command + "<" + path + ">"
}
