package proxy

import (
	"crypto/tls"

	gosasl "github.com/emersion/go-sasl"

	imapdialogue "github.com/xoauthd/xoauthd/proxy/imap"
	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
	"github.com/xoauthd/xoauthd/proxy/relay"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A serverDialogue is the server's side of a dialogue with a client, until its login.
type serverDialogue interface {
	Greet()
	ReadLogin() (sasl.Credentials, error)
	Accept(welcome []string)
	Refuse(status, text string)
	Bye(status, text string)
	// Malformed returns the reply to the last login command if it was refused before it
	// had a user name and a password, and "" otherwise.
	Malformed() string
}

// A clientDialogue is the client's side of a dialogue with an upstream, until the login
// there.
type clientDialogue interface {
	Mechanisms() []string
	Extensions() []string
	Authenticate(gosasl.Client) (welcome []string, err error)
	// Open checks that the mailbox can be opened, if the protocol has one.
	Open() error
	Quit()
}

// An extensionsFunc returns the extensions of the upstream, if wanted. hello is the name of
// the client in EHLO.
type extensionsFunc func(hello string, wanted bool) []string

// withoutHello is for the protocols without EHLO.
func (f extensionsFunc) withoutHello() []string { return f("", true) }

// A protocol is everything in which protocols differ for a session.
type protocol struct {
	// server returns the dialogue with a client, which may log in by mechanisms.
	server func(c *wire.Conn, mechanisms []string, extensions extensionsFunc) serverDialogue

	// client starts the dialogue with an upstream, with STARTTLS if config is not nil.
	client func(c *wire.Conn, config *tls.Config, hello string) (clientDialogue, error)

	// status returns the code of a in this protocol.
	status func(a answer) string

	// farewell is true if a server can end a session with a reply of its own. Otherwise a
	// client that was just refused would receive the same reply twice.
	farewell bool

	// tracker returns the tracker of a session after its login.
	tracker func() relay.Tracker

	// assumed are the assumed extensions of an upstream before its first connection: those
	// that all providers have.
	assumed []string

	// early is true if xoauthd connects to the upstream before the client logs in, so that
	// the client sees its extensions.
	early bool
}

// protocols are the protocols of a Listener, by name.
var protocols = map[string]*protocol{
	"imap": {
		server: func(c *wire.Conn, mechanisms []string, extensions extensionsFunc) serverDialogue {
			return imapdialogue.NewServer(c, mechanisms, extensions.withoutHello)
		},
		client: func(c *wire.Conn, config *tls.Config, _ string) (clientDialogue, error) {
			return imapdialogue.NewClient(c, config)
		},
		status:   func(a answer) string { return string(a.imap) },
		farewell: true,
		tracker:  func() relay.Tracker { return new(imapdialogue.Tracker) },
	},
	"smtp": {
		server: func(c *wire.Conn, mechanisms []string, extensions extensionsFunc) serverDialogue {
			return smtpdialogue.NewServer(c, mechanisms, extensions)
		},
		client: func(c *wire.Conn, config *tls.Config, hello string) (clientDialogue, error) {
			return smtpdialogue.NewClient(c, config, hello)
		},
		status:   func(a answer) string { return a.smtp },
		farewell: true,
		tracker:  func() relay.Tracker { return new(smtpdialogue.Tracker) },
		assumed:  []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"},
		early:    true,
	},
	"pop3": {
		server: func(c *wire.Conn, mechanisms []string, extensions extensionsFunc) serverDialogue {
			return pop3dialogue.NewServer(c, mechanisms, extensions.withoutHello)
		},
		client: func(c *wire.Conn, config *tls.Config, _ string) (clientDialogue, error) {
			return pop3dialogue.NewClient(c, config)
		},
		status:  func(a answer) string { return a.pop3 },
		tracker: func() relay.Tracker { return new(pop3dialogue.Tracker) },
		assumed: []string{"TOP", "UIDL"},
	},
}
