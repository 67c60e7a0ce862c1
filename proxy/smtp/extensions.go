package smtp

import (
	"regexp"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// An extension is one that a server may announce, with the parameters that it may
// have there: a regular expression that matches all of them.
type extension struct{ name, parameters string }

// known are the extensions of the upstream that xoauthd knows. A client does not
// say EHLO again after AUTH, so it sees no others; an unknown one could be a
// command that must not be offered (XCLIENT, X-EXPS), or a secret that a hostile
// server repeats. For the same reason parameters have to be of the form that the
// extension has.
var known = []extension{
	// What a client may do with a message.
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
	{"PRDR", ""},                                   // one reply for each recipient, of Exim
	{"REQUIRETLS", ""},                             // RFC 8689
	{"RRVS", ""},                                   // RFC 7293
	{"SIZE", number + "?"},                         // RFC 1870
	{"SMTPUTF8", ""},                               // RFC 6531
	{"XVERP", ""},                                  // return paths of mailing lists, of Postfix

	// Commands that change nothing.
	{"EXPN", ""},
	{"HELP", ""},
	{"VRFY", ""},

	// What is between xoauthd and the upstream, and not for clients: see offer.
	{"STARTTLS", ""},
}

const (
	number   = "([0-9]{1,20})"
	dateTime = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
	limit    = "(?i:MAILMAX|RCPTMAX|RCPTDOMAINMAX)=[0-9]{1,9}"
)

// extensionOf returns a line of the answer to EHLO as clients may see it. Of AUTH it
// returns the known mechanisms.
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

// patterns match the parameters of known.
var patterns = func() (all []*regexp.Regexp) {
	for _, e := range known {
		all = append(all, regexp.MustCompile("^(?:"+e.parameters+")$"))
	}
	return all
}()
