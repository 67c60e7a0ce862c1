package proxy

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
)

// The families of mail servers with known responses.
const (
	Google    = "google"
	Microsoft = "microsoft"
	Yahoo     = "yahoo" // and AOL
	Apple     = "apple"
)

// A knownResponse has the hint for replies of mail servers.
type knownResponse struct {
	Server      string   // the family; empty is any server
	Credentials []string // what the account logs in with; empty is anything
	Match       []string // parts of the reply, in lower case, with its code in front
	Unlock      bool     // the reply has the address of a page that unlocks the login
	Hint        string
}

//go:embed knownresponses.toml
var knownResponsesTOML string

// knownResponses returns the table in the order in which it is searched. A test reads the
// table, so it has no errors.
var knownResponses = sync.OnceValue(func() []knownResponse {
	var table struct{ Response []knownResponse }
	toml.Decode(knownResponsesTOML, &table)
	return table.Response
})

// responseHint returns the hint for a reply of u, which may be nil for a server that is not
// known. If the reply does not refuse what the account logs in with, it has a hint only if it
// is known.
func responseHint(u *Upstream, reply string, refused bool) string {
	family, credential := "", ""
	if u != nil {
		family = u.Family
	}
	if refused {
		credential = u.credential()
	}
	for _, known := range knownResponses() {
		if !known.matches(family, credential, strings.ToLower(reply)) {
			continue
		}
		if link := unlockLink(reply); known.Unlock && link != "" {
			return known.Hint + " Open this address: " + link
		}
		return known.Hint
	}
	return ""
}

// credential returns what accounts log in with at u, as in the table.
func (u *Upstream) credential() string {
	switch {
	case u.takesPassword():
		return "password"
	case u != nil && u.WithoutConsent:
		return "application"
	}
	return "token"
}

func (k *knownResponse) matches(family, credential, reply string) bool {
	if k.Server != "" && k.Server != family || len(k.Credentials) > 0 && !slices.Contains(k.Credentials, credential) {
		return false
	}
	code := append(strings.Fields(reply), "", "")[1]
	return slices.ContainsFunc(k.Match, func(match string) bool {
		wanted, text := splitCode(match)
		return (wanted == "" || wanted == code) && strings.Contains(reply, text)
	})
}

// statusCode matches an enhanced status code of SMTP, or a response code of IMAP or POP3.
var statusCode = regexp.MustCompile(`^(\d\.\d+\.\d+|\[[^\]]*\])( |$)`)

// splitCode splits a match into its code, which may be empty, and its text.
func splitCode(match string) (code, text string) {
	prefix := statusCode.FindString(match)
	return strings.TrimSuffix(prefix, " "), match[len(prefix):]
}

// Google's link to unlock a login: in the response code WEBALERT of IMAP, and in angle
// brackets in SMTP, possibly over several lines.
var (
	webAlert  = regexp.MustCompile(`(?i)WEBALERT (https://[^\s\]]+)`)
	bracketed = regexp.MustCompile(`<(https://[^>]+)>`)
)

// unlockLink returns the link to unlock a login, or "".
func unlockLink(reply string) string {
	for _, r := range []*regexp.Regexp{webAlert, bracketed} {
		if m := r.FindStringSubmatch(reply); m != nil {
			return strings.Join(strings.Fields(m[1]), "")
		}
	}
	return ""
}
