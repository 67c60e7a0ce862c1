package imap

import (
	"strconv"
	"strings"
)

// maxLiteral is the longest literal before login: names and passwords are
// shorter, and nothing else may be one there.
const maxLiteral = 4 << 10

// arguments are those of one command. A literal ends its line, and the command
// goes on in the next.
type arguments struct {
	s    *Server
	line string // what is left of the current line
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
		return "", a.wrong()
	}
	atom := a.line[:n]
	a.line = a.line[n:]
	return atom, nil
}

// quoted reads a quoted string. Octets beyond ASCII are taken as they are:
// clients send passwords so in whatever character set they have.
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
				return "", a.s.bad(a.line, `in quotes, \ goes before " and \ only`)
			}
			text.WriteByte(a.line[i])
		case 0, '\r':
			return "", a.s.bad(a.line, "control character in quotes")
		default:
			text.WriteByte(b)
		}
	}
	return "", a.s.bad(a.line, "quotes are not closed")
}

// literal reads a literal, and then the line that the command goes on in.
func (a *arguments) literal() (string, error) {
	l := literal(a.line)
	switch {
	case l == nil || l.text != a.line:
		return "", a.s.bad(a.line, "a literal is {octets} at the end of the line")
	case l.octets > maxLiteral:
		return "", a.s.bad(a.line, "literal longer than "+strconv.Itoa(maxLiteral)+" octets")
	}
	octets, err := a.octets(l)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(string(octets), "\x00\r\n") {
		return "", a.s.bad(a.line, "control character in literal")
	}
	return string(octets), nil
}

// octets reads those of a literal, and then the line that the command goes on in.
func (a *arguments) octets(l *literalHead) (octets []byte, err error) {
	if l.synchronizing {
		a.s.c.Printf("+ ready for literal data")
	}
	if octets, err = a.s.c.ReadN(l.octets); err != nil {
		return nil, err
	}
	a.line, err = a.s.c.ReadLine()
	a.s.c.Heard("(literal and what follows)")
	return octets, err
}

// skip reads all arguments of a command that does not need them. There may be
// literals among them.
func (a *arguments) skip() error {
	for {
		l := literal(a.line)
		switch {
		case l == nil:
			return nil
		case l.octets > maxLiteral:
			return a.s.bad(a.line, "literal longer than "+strconv.Itoa(maxLiteral)+" octets")
		}
		if _, err := a.octets(l); err != nil {
			return err
		}
	}
}

// space reads one space or, as some clients send, several.
func (a *arguments) space() error {
	if !strings.HasPrefix(a.line, " ") {
		return a.wrong()
	}
	a.line = strings.TrimLeft(a.line, " ")
	return nil
}

// end reads the end of the command, before which there may be spaces.
func (a *arguments) end() error {
	if strings.Trim(a.line, " ") != "" {
		return a.wrong()
	}
	return nil
}

// wrong is the error for arguments that are not as they should be.
func (a *arguments) wrong() error {
	why := "LOGIN takes a user name and a password, and no more"
	if a.line != "" && !isAstringChar(a.line[0]) {
		why += `; in quotes if there is a space in it, or one of (){%*"\`
	}
	return a.s.bad(a.line, why)
}

// A literalHead announces a literal (RFC 9051 section 4.3).
type literalHead struct {
	text          string
	octets        int  // beyond maxLiteral if the number is too large to tell
	synchronizing bool // the client waits until it is asked for the octets
}

// literal returns the literal that line announces at its end, or nil.
func literal(line string) *literalHead {
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

// maxTag is the length of the longest tag that a Server repeats, in octets.
const maxTag = 64

// isTag reports whether s is a tag that a Server repeats. A tag is
// 1*<any ASTRING-CHAR except "+"> (RFC 9051 section 9). A Server does not repeat
// all of those: a browser that shows the reply must not find markup in it.
func isTag(s string) bool {
	for i := range len(s) {
		if !isAstringChar(s[i]) || s[i] > '~' || strings.IndexByte("+<>&'`", s[i]) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxTag
}

// isVerb reports whether s could be the name of a command. What could not may
// be half of a password, and is not traced.
func isVerb(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}

// isAstringChar reports whether b can be in an atom that is an astring. Octets
// beyond ASCII cannot by the RFC, but clients that don't quote send them.
func isAstringChar(b byte) bool {
	return b > ' ' && b != 0x7f && !strings.ContainsRune(`(){%*"\`, rune(b))
}
