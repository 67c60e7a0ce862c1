package sasl

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// newTokenClient returns the client's end of XOAUTH2 or OAUTHBEARER (RFC 7628).
func newTokenClient(mechanism, user, token, host string, port int) (Client, error) {
	if len(token) > maxToken || !bearer.MatchString(token) {
		return nil, errors.New("access token is not of the form of RFC 6750")
	}
	if mechanism == OAUTHBEARER {
		ir := "n,a=" + saslname.Replace(user) + ",\x01host=" + host + "\x01port=" + strconv.Itoa(port) +
			"\x01auth=Bearer " + token + "\x01\x01"
		// RFC 7628 section 3.2.3: a refusal is answered with a single ^A.
		return &tokenClient{mechanism: OAUTHBEARER, ir: ir, dummy: "\x01"}, nil
	}
	ir := "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"
	return &tokenClient{mechanism: XOAUTH2, ir: ir}, nil
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
	mechanism, ir string

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
	t.refused, t.challenge = true, string(challenge)
	return []byte(t.dummy), nil
}

func (t *tokenClient) Challenge() string { return t.challenge }
