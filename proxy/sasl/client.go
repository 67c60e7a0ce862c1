// Package sasl implements SASL mechanisms that go-sasl lacks, with its interfaces:
// client and server of XOAUTH2, OAUTHBEARER and LOGIN. Unlike go-sasl, its OAUTHBEARER
// escapes user names and answers the error challenge, and its LOGIN accepts any
// prompt. The package also chooses mechanisms and runs the server side of an exchange.
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

// A Client is the client side of a mechanism for the login upstream.
type Client interface {
	sasl.Client

	// Challenge returns the error challenge that the server sent when it refused an
	// access token: a JSON object with a status. It may contain the token. It is
	// empty if the server sent none.
	Challenge() string
}

// ErrTooEarly is the error of a server that accepts a login before it has received
// the credentials.
var ErrTooEarly = errors.New("server accepted the login before it received the credentials")

// ErrUnsolicited is the error of a server that sends a reply before it has received the
// command.
var ErrUnsolicited = errors.New("server sent a reply before it received the command")

// MinResponses returns the minimum number of client responses of mechanism,
// including an initial response.
func MinResponses(mechanism string) int {
	if mechanism == LOGIN {
		return 2
	}
	return 1
}

// allowedMechanisms returns the mechanisms that the configuration allows, best
// first. XOAUTH2 comes before OAUTHBEARER, because more clients use it and servers
// support it better.
func allowedMechanisms(wanted string) []string {
	switch wanted {
	case "", "auto":
		return []string{XOAUTH2, OAUTHBEARER}
	case "password":
		return []string{PLAIN, LOGIN}
	}
	return []string{strings.ToUpper(wanted)}
}

// TakesPassword reports whether the mechanisms that wanted allows log in with a
// password instead of an access token. See Choose for wanted.
func TakesPassword(wanted string) bool {
	name := allowedMechanisms(wanted)[0]
	return name == PLAIN || name == LOGIN
}

// Choose returns the mechanism to use with a server that offers the given
// mechanisms. wanted is the configured mechanism: the name of one, "auto" or "" for
// any mechanism with an access token, or "password" for any mechanism with a
// password. The error is a *NotOffered.
func Choose(wanted string, offered []string) (string, error) {
	for _, name := range allowedMechanisms(wanted) {
		if slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, name) }) {
			return name, nil
		}
	}
	return "", &NotOffered{allowedMechanisms(wanted), offered}
}

// NotOffered is the error of a server that offers none of the wanted mechanisms.
type NotOffered struct {
	Wanted, Offered []string
}

func (e *NotOffered) Error() string {
	offered := "no mechanism"
	if len(e.Offered) > 0 {
		offered = strings.Join(e.Offered, " ")
	}
	return fmt.Sprintf("server does not offer %s; it offers %s", strings.Join(e.Wanted, " or "), offered)
}

// NewClient returns the client side of mechanism for user at the server host:port.
// mechanism is a result of Choose. secret is an access token or a password.
func NewClient(mechanism, user, secret, host string, port int) (Client, error) {
	if strings.ContainsAny(user, "\x00\x01\r\n") {
		// NUL and ^A separate fields, so such a name could add fields.
		return nil, errors.New("user name contains control characters")
	}
	switch mechanism {
	case XOAUTH2, OAUTHBEARER:
		return newTokenClient(mechanism, user, secret, host, port)
	case PLAIN, LOGIN:
		return newPasswordClient(mechanism, user, secret)
	}
	return nil, fmt.Errorf("unknown mechanism %q", mechanism)
}
