// Package sasl has the mechanisms that go-sasl lacks, as implementations of its
// interfaces: the client's end of XOAUTH2, and of an OAUTHBEARER that escapes
// names and answers refusals; the server's end of LOGIN. With them comes what
// every protocol does with mechanisms: choosing one, and running one.
package sasl

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-sasl"
)

// The mechanisms that log in with an access token.
const (
	XOAUTH2     = "XOAUTH2"
	OAUTHBEARER = sasl.OAuthBearer
)

// A TokenClient logs in with an access token.
type TokenClient interface {
	sasl.Client

	// Challenge is what the server said of the reason when it refused the
	// token: a JSON object with a status, in the words of the server, but for
	// the token. It is empty if the server did not say.
	Challenge() string
}

// Choose returns the mechanism to use with a server that offers those of
// offered. The configuration may insist on one by naming it in wanted; "auto"
// and "" leave it to the server. Where it has both, XOAUTH2 is the one that
// every program uses, and so the one that works.
func Choose(wanted string, offered []string) (string, error) {
	usable := []string{XOAUTH2, OAUTHBEARER}
	if wanted != "" && wanted != "auto" {
		usable = []string{strings.ToUpper(wanted)}
	}
	for _, name := range usable {
		if slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, name) }) {
			return name, nil
		}
	}
	return "", fmt.Errorf("server offers neither of %s, only %s",
		strings.Join(usable, ", "), strings.Join(offered, " "))
}

// NewTokenClient returns the client's end of mechanism, one of Choose's, for
// user with an access token at the server host:port.
func NewTokenClient(mechanism, user, token, host string, port int) (TokenClient, error) {
	switch {
	case strings.ContainsAny(user, "\x00\x01\r\n"):
		// ^A separates fields: whoever chooses the name could add some.
		return nil, errors.New("user name holds control characters")
	case len(token) > maxToken || !bearer.MatchString(token):
		return nil, errors.New("access token is not of the form of RFC 6750")
	}
	if mechanism == OAUTHBEARER {
		ir := "n,a=" + saslname.Replace(user) + ",\x01host=" + host + "\x01port=" + strconv.Itoa(port) +
			"\x01auth=Bearer " + token + "\x01\x01"
		// RFC 7628 section 3.2.3: a refusal is answered with a single ^A.
		return &tokenClient{mechanism: OAUTHBEARER, token: token, ir: ir, dummy: "\x01"}, nil
	}
	ir := "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"
	return &tokenClient{mechanism: XOAUTH2, token: token, ir: ir}, nil
}

// maxToken is far more than any provider's: Microsoft's are of 4 KiB at the most.
// RFC 4954 section 4 has servers take a line of 12288 octets, base64 included;
// what one makes of a longer one is its own matter.
const maxToken = 16 << 10

// bearer is the form of RFC 6750 section 2.1.
var bearer = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// saslname escapes what separates the fields of RFC 5801's header.
var saslname = strings.NewReplacer("=", "=3D", ",", "=2C")

// tokenClient is a mechanism that says all in its initial response.
type tokenClient struct {
	mechanism, token, ir string

	dummy     string // what answers the server's refusal, so that it goes on to say so
	challenge string
	refused   bool
}

func (t *tokenClient) Start() (mechanism string, ir []byte, err error) {
	return t.mechanism, []byte(t.ir), nil
}

// Next answers the challenge by which a server tells why it refuses the token.
func (t *tokenClient) Next(challenge []byte) (response []byte, err error) {
	if t.refused {
		return nil, errors.New("server goes on after it refused the token")
	}
	t.refused = true
	// Servers like to repeat what they did not understand.
	hide := strings.NewReplacer(Encode([]byte(t.ir)), "(hidden)", t.token, "(hidden)")
	t.challenge = hide.Replace(string(challenge))
	return []byte(t.dummy), nil
}

func (t *tokenClient) Challenge() string { return t.challenge }
