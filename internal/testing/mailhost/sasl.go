package mailhost

import (
	"strings"

	"github.com/emersion/go-sasl"
)

// A mechanism is one of the two ways to send an access token.
type mechanism struct {
	name  string
	parse func(message string) (user, token string, ok bool)

	// challenge says that the token is refused, and answer is what a client
	// has to say to that before it is told so in the words of the protocol.
	challenge, answer string
}

// XOAUTH2 is Google's, with the HTTP status of a refusal; OAUTHBEARER is RFC
// 7628, with an error code of RFC 6750 in its place.
var mechanisms = []mechanism{
	{"XOAUTH2", parseXOAUTH2, `{"status":"401","schemes":"bearer","scope":"mail"}`, ""},
	{"OAUTHBEARER", parseOAUTHBEARER, `{"status":"invalid_token","schemes":"bearer","scope":"mail"}`, "\x01"},
}

func mechanismNames() []string {
	var names []string
	for _, m := range mechanisms {
		names = append(names, m.name)
	}
	return names
}

// A bearer is the server's side of a mechanism.
type bearer struct {
	mechanism
	logIn              func(user, token string) bool
	refused, malformed error // in the words of the protocol
	asked, failed      bool
}

// newServer returns the server's side of the named mechanism, or nil if there
// is no such mechanism here. Its errors are the two that it is given.
func newServer(name string, logIn func(user, token string) bool, refused, malformed error) sasl.Server {
	for _, m := range mechanisms {
		if m.name == name {
			return &bearer{mechanism: m, logIn: logIn, refused: refused, malformed: malformed}
		}
	}
	return nil
}

// Next implements sasl.Server. The challenge that asks for the message is nil
// rather than empty: imapserver would make an equals sign of the latter.
func (b *bearer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case b.failed && string(response) != b.answer:
		return nil, false, b.malformed
	case b.failed:
		return nil, false, b.refused
	case response == nil && !b.asked:
		b.asked = true
		return nil, false, nil
	}
	user, token, ok := b.parse(string(response))
	if !ok {
		return nil, false, b.malformed
	}
	if b.logIn(user, token) {
		return nil, true, nil
	}
	b.failed = true
	return []byte(b.challenge), false, nil
}

// parseXOAUTH2 takes apart user=U^Aauth=Bearer T^A^A.
func parseXOAUTH2(message string) (user, token string, ok bool) {
	message, ok = strings.CutPrefix(message, "user=")
	user, message, found := strings.Cut(message, "\x01")
	if !ok || !found || user == "" {
		return "", "", false
	}
	token, ok = authValue(message)
	return user, token, ok
}

// parseOAUTHBEARER takes apart n,a=U,^Ahost=H^Aport=P^Aauth=Bearer T^A^A, RFC
// 7628 section 3.1. Of the header of RFC 5801, it knows no channel binding.
func parseOAUTHBEARER(message string) (user, token string, ok bool) {
	header, message, found := strings.Cut(message, "\x01")
	parts := strings.Split(header, ",")
	if !found || len(parts) != 3 || parts[0] != "n" || parts[2] != "" {
		return "", "", false
	}
	if parts[1] != "" {
		user, ok = strings.CutPrefix(parts[1], "a=")
		if user, ok = decodeName(user, ok); !ok {
			return "", "", false
		}
	}
	token, ok = authValue(message)
	return user, token, ok
}

// decodeName undoes what RFC 5801 section 4 does to a name: it has no comma
// and no equals sign of its own.
func decodeName(name string, ok bool) (string, bool) {
	rest := strings.NewReplacer("=2C", "", "=3D", "").Replace(name)
	if !ok || name == "" || strings.Contains(rest, "=") {
		return "", false
	}
	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name), true
}

// authValue returns the token among key=value pairs, of which each ends in ^A,
// as does the whole.
func authValue(pairs string) (token string, ok bool) {
	pairs, ok = strings.CutSuffix(pairs, "\x01\x01")
	if !ok {
		return "", false
	}
	for pair := range strings.SplitSeq(pairs, "\x01") {
		if value, ok := strings.CutPrefix(pair, "auth="); ok {
			scheme, token, _ := strings.Cut(value, " ")
			return token, strings.EqualFold(scheme, "Bearer") && token != ""
		}
	}
	return "", false
}
