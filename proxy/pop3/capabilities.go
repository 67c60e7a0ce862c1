package pop3

import (
	"regexp"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// known are the capabilities that clients may see, beside SASL (RFC 2449 section 6,
// RFC 2595, RFC 3206, RFC 6856), with their parameters. An unknown one could be a
// secret that a hostile server repeats. IMPLEMENTATION may say anything, so it is
// none of them; what clients do need not depend on it.
var known = regexp.MustCompile(`^(?:` +
	`AUTH-RESP-CODE|LANG|PIPELINING|RESP-CODES|STLS|TOP|UIDL|USER|UTF8(?: USER)?|` +
	`EXPIRE (?:[0-9]{1,9}|NEVER)(?: USER)?|LOGIN-DELAY [0-9]{1,9}(?: USER)?)$`)

// capabilityOf returns a line of the answer to CAPA as clients may see it. Of SASL
// it returns the known mechanisms.
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
