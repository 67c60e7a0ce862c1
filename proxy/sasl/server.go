package sasl

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// Mechanisms for clients: Passwords is the default, OwnTokens is for listeners that
// also accept access tokens of the client.
var (
	Passwords = []string{PLAIN, LOGIN}
	OwnTokens = []string{PLAIN, LOGIN, XOAUTH2, OAUTHBEARER}
)

// Credentials are a user name and either a password or an access token.
type Credentials struct {
	User, Password, Token string
}

// NewServer returns the server side of mechanism, which stores the credentials in c.
// The error is a ClientError if offered does not contain mechanism.
func NewServer(mechanism string, offered []string, c *Credentials) (sasl.Server, error) {
	name := strings.ToUpper(mechanism)
	token := name == XOAUTH2 || name == OAUTHBEARER
	switch {
	case !slices.Contains(offered, name) && token:
		return nil, ClientError("xoauthd obtains access tokens itself: log in with a user name and a password, by " + strings.Join(offered, " or "))
	case !slices.Contains(offered, name):
		return nil, ClientError("supported mechanisms: " + strings.Join(offered, " "))
	case name == PLAIN:
		return sasl.NewPlainServer(func(identity, user, password string) error {
			switch {
			case user == "": // the client has sent only the authorization identity
				user = identity
			case identity != "" && !strings.EqualFold(identity, user):
				return errors.New("authorization identity differs from the user name")
			}
			*c = Credentials{User: user, Password: password}
			return nil
		}), nil
	case name == LOGIN:
		return &loginServer{c: c}, nil
	}
	return &tokenServer{parse: messageParsers[name], c: c}, nil
}

// A loginServer is the server side of LOGIN. No RFC describes it; clients expect
// exactly these two prompts (draft-murchison-sasl-login).
type loginServer struct {
	c     *Credentials
	asked int
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	// The initial response, if any, is the user name.
	if l.asked == 0 && response != nil {
		l.asked = 1
	}
	switch l.asked++; l.asked {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.c.User = string(response)
		return []byte("Password:"), false, nil
	}
	l.c.Password = string(response)
	return nil, true, nil
}

// A ClientError is an error of the client in an exchange. It does not end the
// session: the client may start another exchange.
type ClientError string

func (e ClientError) Error() string { return string(e) }

// Serve runs the mechanism s until it is done. response is the initial response in
// base64; initial is false if the client sent none. ask sends a challenge in base64
// and returns the response of the client. The error is a ClientError or an error of
// ask.
func Serve(s sasl.Server, response string, initial bool, ask func(challenge string) (string, error)) error {
	for answered := initial; ; answered = true {
		var octets []byte
		if answered {
			var err error
			if octets, err = Decode(response); err != nil {
				return ClientError(err.Error())
			}
		}
		challenge, done, err := s.Next(octets)
		if err != nil {
			return ClientError(err.Error())
		}
		if done {
			return nil
		}
		if response, err = ask(Encode(challenge)); err != nil {
			return err
		}
		if strings.TrimRight(response, " ") == "*" {
			return ClientError("canceled")
		}
	}
}

// Encode returns b in base64.
func Encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// Decode decodes base64 from a peer. The result is never nil, because a mechanism
// takes nil for a missing response. A single "=" is an empty initial response (RFC
// 4954 section 4, RFC 4959).
func Decode(text string) ([]byte, error) {
	text = strings.TrimRight(text, " ") // some clients append spaces
	if text == "=" {
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // base64 ignores line breaks
		return nil, errors.New("not base64")
	}
	return b, nil
}
