// Package sasl has the mechanisms that go-sasl lacks, as implementations of its
// interfaces: the client's end of XOAUTH2, of an OAUTHBEARER that escapes names
// and answers refusals, and of a LOGIN that is not particular; the server's end
// of all three. With them comes what every protocol does with mechanisms: choosing
// one, and running one.
package sasl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// The mechanisms that log in with an access token.
const (
	XOAUTH2     = "XOAUTH2"
	OAUTHBEARER = sasl.OAuthBearer
)

// The mechanisms that log in with a password.
const (
	PLAIN = sasl.Plain
	LOGIN = sasl.Login
)

// A Client is the client's end of a mechanism that logs in upstream.
type Client interface {
	sasl.Client

	// Challenge is the reason that the server sent when it refused an access token:
	// a JSON object with a status. It is as the server sent it, and may repeat the
	// token. It is empty if the server sent none.
	Challenge() string
}

// ErrTooEarly is a server that accepts a login before it has the credentials: they
// cannot be why it does.
var ErrTooEarly = errors.New("server accepted the login before it had the credentials")

// ErrUnasked is a server that has sent a reply before it had the command.
var ErrUnasked = errors.New("server replied before it was asked")

// Responses is how many responses of the client the mechanism takes at least, that
// with the command included.
func Responses(mechanism string) int {
	if mechanism == LOGIN {
		return 2
	}
	return 1
}

// usable are the mechanisms that a configuration allows, best first. Where a
// server has both of those for a token, XOAUTH2 is the one that every program
// uses, and so the one that works.
func usable(wanted string) []string {
	switch wanted {
	case "", "auto":
		return []string{XOAUTH2, OAUTHBEARER}
	case "password":
		return []string{PLAIN, LOGIN}
	}
	return []string{strings.ToUpper(wanted)}
}

// TakesPassword reports whether the mechanisms that wanted allows, as in
// Choose, log in with a password instead of an access token.
func TakesPassword(wanted string) bool {
	name := usable(wanted)[0]
	return name == PLAIN || name == LOGIN
}

// Choose returns the mechanism to use with a server that offers those of
// offered. The configuration may insist on one by naming it in wanted. Otherwise
// that leaves it to the server: "auto" and "" are for an access token,
// "password" is for a password. The error is a *NotOffered.
func Choose(wanted string, offered []string) (string, error) {
	for _, name := range usable(wanted) {
		if slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, name) }) {
			return name, nil
		}
	}
	return "", &NotOffered{usable(wanted), offered}
}

// NotOffered says that a server has none of the mechanisms that could be used.
type NotOffered struct {
	Wanted, Offered []string
}

func (e *NotOffered) Error() string {
	offered := "none at all"
	if len(e.Offered) > 0 {
		offered = strings.Join(e.Offered, " ")
	}
	return fmt.Sprintf("server does not offer %s, but %s", strings.Join(e.Wanted, " or "), offered)
}

// NewClient returns the client's end of mechanism, one of Choose's, for user at
// the server host:port. The secret is an access token or a password.
func NewClient(mechanism, user, secret, host string, port int) (Client, error) {
	if strings.ContainsAny(user, "\x00\x01\r\n") {
		// NUL and ^A separate fields: whoever chooses the name could add some.
		return nil, errors.New("user name holds control characters")
	}
	switch mechanism {
	case XOAUTH2, OAUTHBEARER:
		return newTokenClient(mechanism, user, secret, host, port)
	case PLAIN, LOGIN:
		return newPasswordClient(mechanism, user, secret)
	}
	return nil, fmt.Errorf("there is no mechanism %q", mechanism)
}
