package sasl

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-sasl"
)

// maxPassword is the maximum length of a password in octets. Servers need not accept
// more than 255 octets (RFC 4616 section 2); a longer one is probably the content of
// a wrong file.
const maxPassword = 1 << 10

// newPasswordClient returns the client side of PLAIN (RFC 4616) or LOGIN.
func newPasswordClient(mechanism, user, password string) (Client, error) {
	switch {
	case password == "":
		return nil, errors.New("password is empty")
	case len(password) > maxPassword:
		return nil, fmt.Errorf("password is longer than %d octets", maxPassword)
	case strings.ContainsAny(password, "\x00\r\n"):
		return nil, errors.New("password contains a line break or NUL")
	case !utf8.ValidString(user) || !utf8.ValidString(password):
		return nil, errors.New("user name or password is not UTF-8")
	}
	if mechanism == LOGIN {
		return passwordClient{&loginClient{answers: []string{user, password}}}, nil
	}
	return passwordClient{sasl.NewPlainClient("", user, password)}, nil
}

// A passwordClient is a mechanism without an error challenge.
type passwordClient struct{ sasl.Client }

func (passwordClient) Challenge() string { return "" }

// A loginClient is the client side of LOGIN. Unlike go-sasl's, it sends no initial
// response, because not all servers accept one, and it accepts any prompt.
type loginClient struct {
	answers []string
}

func (l *loginClient) Start() (mechanism string, ir []byte, err error) {
	return LOGIN, nil, nil
}

func (l *loginClient) Next([]byte) (response []byte, err error) {
	if len(l.answers) == 0 {
		return nil, errors.New("server asked for more than a user name and a password")
	}
	response, l.answers = []byte(l.answers[0]), l.answers[1:]
	return response, nil
}
