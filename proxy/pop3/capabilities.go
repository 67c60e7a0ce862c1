package pop3

import (
	"regexp"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// known matches the capabilities and parameters that clients may see, besides SASL
// (RFC 2449 section 6, RFC 2595, RFC 3206, RFC 6856). Others are hidden, because a
// hostile server could repeat a secret as a capability. IMPLEMENTATION may contain
// any text, and clients do not need it.
var known = regexp.MustCompile(`^(?:` +
	`AUTH-RESP-CODE|LANG|PIPELINING|RESP-CODES|STLS|TOP|UIDL|USER|UTF8(?: USER)?|` +
	`EXPIRE (?:[0-9]{1,9}|NEVER)(?: USER)?|LOGIN-DELAY [0-9]{1,9}(?: USER)?)$`)

// capabilityOf returns a line of the CAPA reply as clients may see it. ok is false
// if the capability is not known. SASL keeps the known mechanisms only.
func capabilityOf(line string) (capability string, ok bool) {
	words := strings.Fields(strings.ToUpper(line))
	if len(words) == 0 {
		return "", false
	}
	if words[0] == "SASL" {
		return strings.Join(append(words[:1], sasl.Known(words[1:])...), " "), true
	}
	capability = strings.Join(words, " ")
	return capability, known.MatchString(capability)
}
