package smtp

import (
	"regexp"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// An extension is a known extension with the form of its parameters: a regular
// expression that matches all of them.
type extension struct{ name, parameters string }

// known are the extensions of an upstream that clients may see. Others are hidden: a
// client does not send EHLO again after AUTH, and an unknown extension could be a
// command that must not be offered (XCLIENT, X-EXPS), or a secret that a hostile
// server repeats. For the same reason, parameters must have the form of their
// extension. PRDR is not known: its replies cannot be counted.
var known = []extension{
	// Extensions for messages.
	{"8BITMIME", ""},                               // RFC 6152
	{"BINARYMIME", ""},                             // RFC 3030
	{"BURL", "(?i:imap)?"},                         // RFC 4468
	{"CHUNKING", ""},                               // RFC 3030
	{"DELIVERBY", number + "?"},                    // RFC 2852
	{"DSN", ""},                                    // RFC 3461
	{"ENHANCEDSTATUSCODES", ""},                    // RFC 2034
	{"FUTURERELEASE", number + " " + dateTime},     // RFC 4865
	{"LIMITS", limit + "( " + limit + ")*"},        // RFC 9422
	{"MT-PRIORITY", "(?i:MIXER|STANAG4406|NSEP)?"}, // RFC 6710
	{"PIPELINING", ""},                             // RFC 2920
	{"REQUIRETLS", ""},                             // RFC 8689
	{"RRVS", ""},                                   // RFC 7293
	{"SIZE", number + "?"},                         // RFC 1870
	{"SMTPUTF8", ""},                               // RFC 6531
	{"XVERP", ""},                                  // Postfix: return paths of mailing lists

	// Commands without side effects.
	{"EXPN", ""},
	{"HELP", ""},
	{"VRFY", ""},

	// For the connection between xoauthd and the upstream; see extensionsToOffer.
	{"STARTTLS", ""},
}

const (
	number   = "([0-9]{1,20})"
	dateTime = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
	limit    = "(?i:MAILMAX|RCPTMAX|RCPTDOMAINMAX)=[0-9]{1,9}"
)

// extensionOf returns a line of the EHLO reply as clients may see it. ok is false if
// the extension is not known. AUTH keeps the known mechanisms only.
func extensionOf(line string) (extension string, ok bool) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", false
	}
	if name := keyword(line); name == "AUTH" {
		mechanisms := sasl.Known(strings.Fields(strings.TrimPrefix(line[len(name):], "=")))
		return strings.TrimSpace("AUTH " + strings.Join(mechanisms, " ")), true
	}
	parameters := strings.Join(words[1:], " ")
	for i, e := range known {
		if strings.EqualFold(e.name, words[0]) && patterns[i].MatchString(parameters) {
			return strings.TrimSpace(e.name + " " + parameters), true
		}
	}
	return "", false
}

// patterns are the compiled parameter patterns of known.
var patterns = func() (all []*regexp.Regexp) {
	for _, e := range known {
		all = append(all, regexp.MustCompile("^(?:"+e.parameters+")$"))
	}
	return all
}()
