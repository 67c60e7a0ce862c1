package gateway

import (
	"strings"

	"golang.org/x/net/idna"
)

// An address is a mailbox address without quotes, comments and display name.
type address struct {
	local  string // unquoted
	domain string // as written
}

// key returns what two addresses of one mailbox have in common: the domain is in lower case
// and in ASCII (RFC 5891). So is the local part, as all large providers compare it without
// case.
func (a address) key() string {
	domain := strings.TrimSuffix(strings.ToLower(a.domain), ".")
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	return strings.ToLower(a.local) + "\x00" + domain
}

// String returns the address as the header and SMTP commands need it, with an ASCII domain.
func (a address) String() string {
	domain := a.domain
	if !isASCII(domain) {
		if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
			domain = ascii
		}
	}
	return quoteLocal(a.local) + "@" + domain
}

// isAtext reports whether c may be in an atom (RFC 5322 section 3.2.3, RFC 6532 section 3.2).
func isAtext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// quoteLocal returns local with quotes if it needs them.
func quoteLocal(local string) string {
	plain := local != "" && !strings.HasPrefix(local, ".") && !strings.HasSuffix(local, ".") &&
		!strings.Contains(local, "..")
	for i := 0; plain && i < len(local); i++ {
		plain = local[i] == '.' || isAtext(local[i])
	}
	if plain {
		return local
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// parseAddress parses an addr-spec without comments, such as `joe@example.com` or
// `"joe x"@example.com`. White space outside of quotes is dropped, as the obsolete syntax
// allows it there.
func parseAddress(s string) (address, bool) {
	var a address
	var b strings.Builder
	at, quoted := false, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quoted && c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"' && !at:
			quoted = !quoted
		case quoted:
			if c != '\r' && c != '\n' { // a folded quoted string
				b.WriteByte(c)
			}
		case isSpace(c):
		case c == '@':
			if at { // only the last one separates
				b2 := a.local + "@" + b.String()
				b.Reset()
				b.WriteString(b2)
			}
			a.local, at = b.String(), true
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	a.domain = b.String()
	return a, at && a.local != "" && a.domain != "" && !quoted
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
