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
	domain := strings.TrimSuffix(strings.ToLower(asciiDomain(a.domain)), ".")
	return strings.ToLower(a.local) + "\x00" + domain
}

// asciiDomain returns domain in ASCII if that is possible.
func asciiDomain(domain string) string {
	if !isASCII(domain) {
		if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
			return ascii
		}
	}
	return domain
}

// String returns the address as the header and SMTP commands need it, with an ASCII domain.
func (a address) String() string {
	return quoteLocal(a.local) + "@" + asciiDomain(a.domain)
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
	return `"` + quoteReplacer.Replace(local) + `"`
}

var quoteReplacer = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// parseAddress parses an addr-spec without comments, such as `joe@example.com` or
// `"joe x"@example.com`. The last "@" outside of quotes separates. White space outside of
// quotes is dropped, as the obsolete syntax allows it there.
func parseAddress(s string) (address, bool) {
	var b strings.Builder
	at := -1 // in b
	quoted := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quoted && c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"' && (quoted || at < 0):
			quoted = !quoted
		case quoted && (c == '\r' || c == '\n'): // it is folded
		case !quoted && isSpace(c):
		case !quoted && c == '@':
			at = b.Len()
			fallthrough
		default:
			b.WriteByte(c)
		}
	}
	if at <= 0 || quoted || at == b.Len()-1 {
		return address{}, false
	}
	return address{b.String()[:at], b.String()[at+1:]}, true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
