package imap

import (
	"strconv"
	"strings"
)

// maxLiteral is the maximum length of a literal before login, in octets. User names
// and passwords are shorter.
const maxLiteral = 4 << 10

// arguments parses the arguments of one command. A literal ends its line, and the
// command continues on the next line.
type arguments struct {
	s    *Server
	line string // the rest of the current line
}

// astring reads an atom, a quoted string or a literal (RFC 9051 section 9).
func (a *arguments) astring() (string, error) {
	switch {
	case strings.HasPrefix(a.line, `"`):
		return a.quoted()
	case strings.HasPrefix(a.line, "{"):
		return a.literal()
	}
	n := 0
	for n < len(a.line) && isAstringChar(a.line[n]) {
		n++
	}
	if n == 0 {
		return "", a.errArguments()
	}
	atom := a.line[:n]
	a.line = a.line[n:]
	return atom, nil
}

// quoted reads a quoted string. It accepts octets beyond ASCII: clients send
// passwords in any character set.
func (a *arguments) quoted() (string, error) {
	var text strings.Builder
	for i := 1; i < len(a.line); i++ {
		switch b := a.line[i]; b {
		case '"':
			a.line = a.line[i+1:]
			return text.String(), nil
		case '\\':
			i++
			if i == len(a.line) || (a.line[i] != '"' && a.line[i] != '\\') {
				return "", a.s.badReply(a.line, `invalid quoted string: \ may precede only " and \`)
			}
			text.WriteByte(a.line[i])
		case 0, '\r':
			return "", a.s.badReply(a.line, "control character in quoted string")
		default:
			text.WriteByte(b)
		}
	}
	return "", a.s.badReply(a.line, "quoted string is not closed")
}

// literal reads a literal and the next line of the command.
func (a *arguments) literal() (string, error) {
	l := parseLiteral(a.line)
	switch {
	case l == nil || l.text != a.line:
		return "", a.s.badReply(a.line, "expected a literal {octets} at the end of the line")
	case l.octets > maxLiteral:
		return "", a.s.badReply(a.line, "literal longer than "+strconv.Itoa(maxLiteral)+" octets")
	}
	octets, err := a.readLiteral(l)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(string(octets), "\x00\r\n") {
		return "", a.s.badReply(a.line, "control character in literal")
	}
	return string(octets), nil
}

// readLiteral reads the octets of l and the next line of the command.
func (a *arguments) readLiteral(l *literalHead) (octets []byte, err error) {
	if l.synchronizing {
		a.s.c.Printf("+ ready for literal data")
	}
	if octets, err = a.s.c.ReadN(l.octets); err != nil {
		return nil, err
	}
	a.line, err = a.s.c.ReadLine()
	a.s.c.TraceReceived("(literal and what follows)")
	return octets, err
}

// skip reads and ignores all arguments, including literals.
func (a *arguments) skip() error {
	for {
		l := parseLiteral(a.line)
		switch {
		case l == nil:
			return nil
		case l.octets > maxLiteral:
			return a.s.badReply(a.line, "literal longer than "+strconv.Itoa(maxLiteral)+" octets")
		}
		if _, err := a.readLiteral(l); err != nil {
			return err
		}
	}
}

// space reads one or more spaces. The RFC allows one, but some clients send more.
func (a *arguments) space() error {
	if !strings.HasPrefix(a.line, " ") {
		return a.errArguments()
	}
	a.line = strings.TrimLeft(a.line, " ")
	return nil
}

// end reads the end of the command. It allows spaces before it.
func (a *arguments) end() error {
	if strings.Trim(a.line, " ") != "" {
		return a.errArguments()
	}
	return nil
}

// errArguments returns the error for malformed arguments of LOGIN.
func (a *arguments) errArguments() error {
	why := "LOGIN takes a user name and a password"
	if a.line != "" && !isAstringChar(a.line[0]) {
		why += `; quote an argument that contains a space or any of (){%*"\`
	}
	return a.s.badReply(a.line, why)
}

// A literalHead announces a literal (RFC 9051 section 4.3).
type literalHead struct {
	text          string
	octets        int  // maxLiteral+1 if the number overflows
	synchronizing bool // the client waits for a continuation request
}

// parseLiteral returns the literal that line announces at its end, or nil.
func parseLiteral(line string) *literalHead {
	i := strings.LastIndexByte(line, '{')
	if i < 0 || !strings.HasSuffix(line, "}") {
		return nil
	}
	l := &literalHead{text: line[i:], synchronizing: true}
	digits := line[i+1 : len(line)-1]
	if d, ok := strings.CutSuffix(digits, "+"); ok {
		digits, l.synchronizing = d, false
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil
	}
	var err error
	if l.octets, err = strconv.Atoi(digits); err != nil {
		l.octets = maxLiteral + 1
	}
	return l
}

// maxTag is the maximum length of a tag that a Server repeats, in octets.
const maxTag = 64

// isTag reports whether a Server repeats s as a tag. A tag is 1*<any ASTRING-CHAR
// except "+"> (RFC 9051 section 9). isTag allows fewer characters: a browser that
// shows the reply must not find markup in it.
func isTag(s string) bool {
	for i := range len(s) {
		if !isAstringChar(s[i]) || s[i] > '~' || strings.IndexByte("+<>&'`", s[i]) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxTag
}

// isCommandName reports whether s has the form of a command name. Anything else may
// be part of a password and must not be traced.
func isCommandName(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}

// isAstringChar reports whether b may be in an astring without quotes. It accepts
// octets beyond ASCII, which the RFC forbids but some clients send.
func isAstringChar(b byte) bool {
	return b > ' ' && b != 0x7f && !strings.ContainsRune(`(){%*"\`, rune(b))
}
