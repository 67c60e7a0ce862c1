package mailhost

import (
	"strings"

	"github.com/emersion/go-sasl"
)

// A mechanism is one of the two ways to send an access token.
type mechanism struct {
	name  string
	parse func(message string) (user, token string, ok bool)

	// challenge reports that the token is refused, and answer is the client's response to
	// it, after which the server sends its tagged reply.
	challenge, answer string
}

// XOAUTH2 is Google's mechanism, whose challenge has an HTTP status. OAUTHBEARER is that
// of RFC 7628, whose challenge has an error code of RFC 6750.
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

// A bearer is the server side of a mechanism.
type bearer struct {
	mechanism
	logIn              func(user, token string) bool
	refused, malformed error // in the words of the protocol
	asked, failed      bool
}

// newServer returns the server side of a mechanism, or nil if the mechanism is unknown.
// Its errors are the two arguments.
func newServer(name string, logIn func(user, token string) bool, refused, malformed error) sasl.Server {
	for _, m := range mechanisms {
		if m.name == name {
			return &bearer{mechanism: m, logIn: logIn, refused: refused, malformed: malformed}
		}
	}
	return nil
}

// Next implements sasl.Server. The first challenge is nil and not empty, because
// imapserver would send an empty one as an equals sign.
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

// parseXOAUTH2 parses user=U^Aauth=Bearer T^A^A.
func parseXOAUTH2(message string) (user, token string, ok bool) {
	message, ok = strings.CutPrefix(message, "user=")
	user, message, found := strings.Cut(message, "\x01")
	if !ok || !found || user == "" {
		return "", "", false
	}
	token, ok = authValue(message)
	return user, token, ok
}

// parseOAUTHBEARER parses n,a=U,^Ahost=H^Aport=P^Aauth=Bearer T^A^A (RFC 7628 section
// 3.1), without channel binding (RFC 5801).
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

// decodeName decodes a name, in which commas and equals signs are encoded (RFC 5801
// section 4).
func decodeName(name string, ok bool) (string, bool) {
	rest := strings.NewReplacer("=2C", "", "=3D", "").Replace(name)
	if !ok || name == "" || strings.Contains(rest, "=") {
		return "", false
	}
	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name), true
}

// authValue returns the token among key=value pairs. Each pair ends in ^A, and so does the
// message.
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
