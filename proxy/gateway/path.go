package gateway

import (
	"errors"
	"strings"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/idna"
)

var (
	errPath    = errors.New("expected <name@domain>")
	errNotUTF8 = errors.New("the local part of the address is not ASCII")
)

// pathReply is the reply to a MAIL or RCPT command with an address that err refuses.
func pathReply(err error) *smtp.SMTPError {
	if err == errNotUTF8 {
		return status("553 5.6.7").reply("%v, and SMTPUTF8 is not offered", err)
	}
	return status("501 5.1.3").reply("malformed address: %v", err)
}

// parsePath returns the address of a command such as "RCPT TO:<joe@example.com> NOTIFY=NEVER".
// It is stricter than go-smtp: the address is later written into the header, so it contains
// no control character, and its domain is a name or a literal. A source route is ignored
// (RFC 5321 section 4.1.1.3). null is true for "<>".
func parsePath(command string) (a address, null bool, err error) {
	_, path, ok := strings.Cut(command, ":")
	if !ok {
		return address{}, false, errPath
	}
	path = strings.TrimLeft(path, " \t")
	if strings.HasPrefix(path, "<>") {
		return address{}, true, nil
	}
	path = cutPath(path)
	if strings.HasPrefix(path, "@") {
		if _, path, ok = strings.Cut(path, ":"); !ok {
			return address{}, false, errPath
		}
	}
	a, ok = parseAddress(path)
	switch {
	case !ok || !isStrict(path):
		return address{}, false, errPath
	case !isASCII(a.local):
		return address{}, false, errNotUTF8
	case len(a.local) > 256 || len(a.domain) > 255:
		return address{}, false, errors.New("it is too long")
	case strings.ContainsFunc(a.local, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return address{}, false, errors.New("it contains control characters")
	}
	a.domain, err = checkDomain(a.domain)
	return a, false, err
}

// cutPath returns the path at the beginning of s, without its brackets and what follows.
func cutPath(s string) string {
	s, bracket := strings.CutPrefix(s, "<")
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '>' || !bracket && (c == ' ' || c == '\t'):
			return s[:i]
		}
	}
	if bracket {
		return "" // the bracket is not closed
	}
	return s
}

// isStrict reports whether path has only characters of an address outside of quotes.
// parseAddress is more tolerant, for the header.
func isStrict(path string) bool {
	quoted, at := false, 0
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c == '@':
			at++
		case quoted || isAtext(c) || strings.IndexByte(".[]:", c) >= 0:
		default:
			return false
		}
	}
	return at == 1
}

// checkDomain returns domain in ASCII. It must be a host name or an address literal.
func checkDomain(domain string) (string, error) {
	if !isASCII(domain) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return "", errors.New("its domain is not valid")
		}
		domain = ascii
	}
	name, literal := domain, strings.HasPrefix(domain, "[") && strings.HasSuffix(domain, "]")
	if literal {
		name = domain[1 : len(domain)-1]
	}
	valid := name != ""
	for _, c := range name {
		valid = valid && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '-' || c == '.' || c == '_' || literal && c == ':')
	}
	if !valid {
		return "", errors.New("its domain is not valid")
	}
	return domain, nil
}
