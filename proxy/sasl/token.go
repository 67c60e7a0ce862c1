package sasl

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// newTokenClient returns the client side of XOAUTH2 or OAUTHBEARER (RFC 7628).
func newTokenClient(mechanism, user, token, host string, port int) (Client, error) {
	if len(token) > maxToken || !bearerForm.MatchString(token) {
		return nil, errors.New("access token does not have the form of RFC 6750")
	}
	if mechanism == OAUTHBEARER {
		ir := "n,a=" + saslNameEscaper.Replace(user) + ",\x01host=" + host + "\x01port=" + strconv.Itoa(port) +
			"\x01auth=Bearer " + token + "\x01\x01"
		// The response to an error challenge is a single ^A (RFC 7628 section 3.2.3).
		return &tokenClient{mechanism: OAUTHBEARER, ir: ir, dummy: "\x01"}, nil
	}
	ir := "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"
	return &tokenClient{mechanism: XOAUTH2, ir: ir}, nil
}

// maxToken is the maximum length of an access token in octets. Tokens of Microsoft
// have up to 4 KiB. RFC 4954 section 4 requires servers to accept a line of 12288
// octets, including base64; some accept more.
const maxToken = 16 << 10

// bearerForm is the form of a bearer token (RFC 6750 section 2.1).
var bearerForm = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// saslNameEscaper escapes the separators of the GS2 header (RFC 5801 section 4).
var saslNameEscaper = strings.NewReplacer("=", "=3D", ",", "=2C")

// A tokenClient is a mechanism that sends all credentials in its initial response.
type tokenClient struct {
	mechanism, ir string

	dummy     string // the response to the error challenge
	challenge string
	refused   bool
}

func (t *tokenClient) Start() (mechanism string, ir []byte, err error) {
	return t.mechanism, []byte(t.ir), nil
}

// Next answers the error challenge with which a server refuses the token.
func (t *tokenClient) Next(challenge []byte) (response []byte, err error) {
	if t.refused {
		return nil, errors.New("server sent another challenge after it refused the token")
	}
	t.refused, t.challenge = true, string(challenge)
	return []byte(t.dummy), nil
}

func (t *tokenClient) Challenge() string { return t.challenge }
