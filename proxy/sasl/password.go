package sasl

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-sasl"
)

// maxPassword is more than anybody has: servers need not take more than 255
// octets (RFC 4616 section 2). What is longer is some other file.
const maxPassword = 1 << 10

// newPasswordClient returns the client's end of PLAIN (RFC 4616) or LOGIN.
func newPasswordClient(mechanism, user, password string) (Client, error) {
	switch {
	case password == "":
		return nil, errors.New("password is empty")
	case len(password) > maxPassword:
		return nil, fmt.Errorf("password is longer than %d octets", maxPassword)
	case strings.ContainsAny(password, "\x00\r\n"):
		return nil, errors.New("password holds a line break or NUL")
	case !utf8.ValidString(user) || !utf8.ValidString(password):
		return nil, errors.New("user name or password is not UTF-8")
	}
	if mechanism == LOGIN {
		return passwordClient{&loginClient{answers: []string{user, password}}}, nil
	}
	return passwordClient{sasl.NewPlainClient("", user, password)}, nil
}

// passwordClient is a mechanism whose server does not say why it refuses.
type passwordClient struct{ sasl.Client }

func (passwordClient) Challenge() string { return "" }

// loginClient is the client's end of LOGIN. Unlike go-sasl's it waits to be
// asked for the name, as not all servers take it with the command, and does not
// insist on the words that it is asked in: they vary.
type loginClient struct {
	answers []string
}

func (l *loginClient) Start() (mechanism string, ir []byte, err error) {
	return LOGIN, nil, nil
}

func (l *loginClient) Next([]byte) (response []byte, err error) {
	if len(l.answers) == 0 {
		return nil, errors.New("server asks for more than a user name and a password")
	}
	response, l.answers = []byte(l.answers[0]), l.answers[1:]
	return response, nil
}
