package gateway

import (
	"errors"
	"regexp"
	"strings"

	gosasl "github.com/emersion/go-sasl"
)

// A Device describes a session without AUTH, for a client that cannot authenticate: a
// printer, a scanner, a controller. Such a session accepts what old devices send: lines that
// end in LF alone, addresses without brackets, 8-bit text without 8BITMIME. It adds a missing
// Date and Message-ID. proxy/smtp answers AUTH before the first MAIL; later ones arrive here,
// and are accepted as well.
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

// admit returns the account that sends a message of a device. It returns a Result with
// a Reply if the sender may not send.
func (d *Device) admit(from string) (*Account, Result) {
	if !matchesAny(d.Senders, from) {
		err := errors.New("the sender " + orNull(from) + " is not allowed for this listener")
		return nil, Result{Kind: SenderRefused, Err: err, Reply: status("550 5.7.1").reply("%v: allowed are %s", err, strings.Join(d.Senders, ", "))}
	}
	if d.Account != nil {
		return d.Account, Result{}
	}
	unknown := errors.New("no account sends as " + orNull(from))
	a, err := d.BySender(from)
	if err == nil && a == nil {
		err = unknown
	}
	if err != nil {
		return nil, Result{Kind: SenderRefused, Err: err, Reply: replyIn(err, status("550 5.7.1").reply("%v", unknown))}
	}
	return a, Result{}
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
	anyParameter    = regexp.MustCompile(`(?i)(^|\s)[a-z0-9][a-z0-9-]*=\S*`) // RFC 5321 section 4.1.2
)

// commas replaces what would separate an address from the next.
var commas = strings.NewReplacer("<", ",", ">", ",", " ", ",", "\t", ",")

// maxIndent is the number of spaces in front of a command that are ignored. The relay
// looks for DATA behind as many at least.
const maxIndent = 64

// normalize returns a command of a device in the form of RFC 5321: brackets around the
// address, no space around the colon, no parameters but SIZE, a name in HELO, an empty
// initial response in AUTH. A command with a second address becomes malformed: the
// device must not believe that both receive the message.
func (d *Device) normalize(line string) string {
	if trimmed := strings.TrimLeft(line, " \t"); len(line)-len(trimmed) <= maxIndent {
		line = trimmed
	}
	if verb := strings.ToUpper(line); verb == "HELO" || verb == "EHLO" {
		return verb + " unknown"
	}
	if auth := strings.Fields(line); len(auth) > 2 && strings.EqualFold(auth[0], "AUTH") {
		return "AUTH " + auth[1] + " =" // go-smtp would refuse what is not base64
	}
	parts := envelopeCommand.FindStringSubmatch(line)
	if parts == nil {
		return line
	}
	command := strings.ToUpper(parts[1][:4]) + " FROM:"
	if command == "RCPT FROM:" {
		command = "RCPT TO:"
	}
	path, parameters, ok := splitPath(parts[2])
	if !ok {
		return command + "<" + commas.Replace(parts[2]) + ">" // malformed
	}
	if command == "MAIL FROM:" && d.RewriteSender && d.Account != nil && !strings.Contains(path, "@") {
		path = d.Account.Mailbox // a device without a domain, which is rewritten anyway
	}
	if size := sizeParameter.FindStringSubmatch(parameters); size != nil {
		return command + "<" + path + "> " + size[1]
	}
	return command + "<" + path + ">"
}

// splitPath returns the address in the argument of MAIL or RCPT, without brackets, and the
// parameters behind it. ok is false if there may be another address.
func splitPath(argument string) (path, parameters string, ok bool) {
	path, parameters, _ = strings.Cut(argument, " ")
	name, after, bracket := strings.Cut(argument, "<")
	if bracket { // also behind a display name
		path = cutPath("<" + after)
		parameters = after[min(len(after), len(path)+len(">")):]
	}
	rest := strings.TrimSpace(anyParameter.ReplaceAllString(parameters, ""))
	another := bracket && strings.Contains(name, "@") || strings.Contains(rest, "@") ||
		strings.HasPrefix(rest, ",") || strings.HasPrefix(rest, ";")
	return path, " " + strings.TrimSpace(parameters), !another
}

// deviceAuth returns a mechanism that accepts all credentials and looks at none.
func deviceAuth(mechanism string) gosasl.Server {
	switch mechanism {
	case gosasl.Login:
		return &blindServer{challenges: []string{"Username:", "Password:"}}
	case gosasl.Plain, "XOAUTH2", gosasl.OAuthBearer:
		return &blindServer{challenges: []string{""}}
	}
	return &blindServer{challenges: []string{"<1@localhost>"}} // CRAM-MD5 and others
}

// authenticated is the reply to AUTH of a device. It is an error for go-smtp, which would
// refuse the next AUTH after a success (RFC 4954 section 4). Some devices authenticate for
// each message.
var authenticated = status("235 2.7.0").reply("Authentication succeeded")

// A blindServer sends its challenges and accepts the client after that. An initial
// response counts as the response to the first challenge.
type blindServer struct {
	challenges []string
	begun      bool
}

func (b *blindServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if !b.begun && response != nil {
		b.challenges = b.challenges[1:]
	}
	b.begun = true
	if len(b.challenges) == 0 {
		return nil, false, authenticated
	}
	next := b.challenges[0]
	b.challenges = b.challenges[1:]
	return []byte(next), false, nil
}
