package sasl

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// What a client may log in with: a password, which crosses nothing but this
// machine, or TLS; and, where it is allowed, an access token of its own as well.
var (
	Passwords = []string{PLAIN, LOGIN}
	OwnTokens = []string{PLAIN, LOGIN, XOAUTH2, OAUTHBEARER}
)

// Credentials are what a client logs in with: a password or a token.
type Credentials struct {
	User, Password, Token string
}

// NewServer returns the server's end of mechanism, which stores in c what the
// client says. The error is a ClientError if it is none of those offered.
func NewServer(mechanism string, offered []string, c *Credentials) (sasl.Server, error) {
	name := strings.ToUpper(mechanism)
	token := name == XOAUTH2 || name == OAUTHBEARER
	switch {
	case !slices.Contains(offered, name) && token:
		return nil, ClientError("xoauthd gets the tokens itself: log in with a user name and a password, by " + strings.Join(offered, " or "))
	case !slices.Contains(offered, name):
		return nil, ClientError("mechanisms are " + strings.Join(offered, " "))
	case name == PLAIN:
		return sasl.NewPlainServer(func(identity, user, password string) error {
			switch {
			case user == "": // Go on with the only name that the client has sent.
				user = identity
			case identity != "" && !strings.EqualFold(identity, user):
				return errors.New("authorization identity is not the user")
			}
			*c = Credentials{User: user, Password: password}
			return nil
		}), nil
	case name == LOGIN:
		return &loginServer{c: c}, nil
	}
	return &tokenServer{parse: messages[name], c: c}, nil
}

// loginServer is the server's end of LOGIN, which no RFC describes; programs
// expect these two challenges to the letter (draft-murchison-sasl-login).
type loginServer struct {
	c     *Credentials
	asked int
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	// A client may send the name with the command.
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

// A ClientError is what a client does wrong in a mechanism. The session may go
// on: the client is told, and may begin another.
type ClientError string

func (e ClientError) Error() string { return string(e) }

// Serve runs the mechanism s until it is done. The initial response is in
// base64 as the client sent it; initial is false if it sent none. The protocol
// gives ask, which sends a challenge in base64 and returns the client's answer.
// The error is a ClientError, or one of ask's.
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

// Encode is base64, as it is sent.
func Encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// Decode decodes what a peer sent. It is never nil: to a mechanism that would
// mean that nothing was sent. A single "=" in an initial response stands for one
// that is empty (RFC 4954 section 4, RFC 4959).
func Decode(text string) ([]byte, error) {
	text = strings.TrimRight(text, " ") // which some clients send
	if text == "=" {
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which base64 skips
		return nil, errors.New("not base64")
	}
	return b, nil
}
