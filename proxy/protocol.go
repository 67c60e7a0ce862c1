package proxy

import (
	"crypto/tls"

	gosasl "github.com/emersion/go-sasl"

	imapdialogue "github.com/xoauthd/xoauthd/proxy/imap"
	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A server is one end of a dialogue with a client, up to its login.
type server interface {
	Greet()
	ReadLogin() (sasl.Credentials, error)
	Accept(welcome []string)
	Refuse(status, text string)
	Bye(status, text string)
	// Malformed returns the reply to the client's last command that was to log in,
	// if that was refused before there was a user name and a password.
	Malformed() string
}

// A client is one end of a dialogue with an upstream, up to our login there.
type client interface {
	Mechanisms() []string
	Extensions() []string
	Authenticate(gosasl.Client) (welcome []string, err error)
	Quit()
}

// A protocol is what differs between protocols for a session.
type protocol struct {
	// server begins the dialogue with a client that may log in by mechanisms.
	// extensions returns those of the upstream, if they are wanted; hello is what the
	// client called itself.
	server func(c *wire.Conn, mechanisms []string, extensions func(hello string, wanted bool) []string) server

	// client begins the dialogue with an upstream, with STARTTLS if config is
	// not nil.
	client func(c *wire.Conn, config *tls.Config, hello string) (client, error)

	// status is how a server says a.
	status func(a answer) string

	// farewell says that a server has a word for the end of a session other than
	// that for a refusal: one that was just refused would hear the same twice.
	farewell bool

	// tracker returns what follows a session after its login.
	tracker func() tracker

	// open checks that the mailbox of a login is there, where one can.
	open func(client) error

	// unseen are the extensions of an upstream that was never seen: those that
	// all providers have.
	unseen []string

	// early says that the upstream is dialled before the client logs in, so
	// that the client is told exactly what it can do.
	early bool
}

// protocols are those that a Listener may speak.
var protocols = map[string]*protocol{
	"imap": {
		server: func(c *wire.Conn, mechanisms []string, extensions func(string, bool) []string) server {
			return imapdialogue.NewServer(c, mechanisms, extensions("", true))
		},
		client: func(c *wire.Conn, config *tls.Config, _ string) (client, error) {
			return imapdialogue.NewClient(c, config)
		},
		status:   func(a answer) string { return string(a.imap) },
		farewell: true,
		tracker:  func() tracker { return new(imapdialogue.Tracker) },
		open:     func(c client) error { return c.(*imapdialogue.Client).Examine() },
	},
	"smtp": {
		server: func(c *wire.Conn, mechanisms []string, extensions func(string, bool) []string) server {
			return smtpdialogue.NewServer(c, mechanisms, extensions)
		},
		client: func(c *wire.Conn, config *tls.Config, hello string) (client, error) {
			return smtpdialogue.NewClient(c, config, hello)
		},
		status:   func(a answer) string { return a.smtp },
		farewell: true,
		tracker:  func() tracker { return new(smtpdialogue.Tracker) },
		open:     func(client) error { return nil }, // there is none
		unseen:   []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"},
		early:    true,
	},
	"pop3": {
		server: func(c *wire.Conn, mechanisms []string, extensions func(string, bool) []string) server {
			return pop3dialogue.NewServer(c, mechanisms, extensions("", true))
		},
		client: func(c *wire.Conn, config *tls.Config, _ string) (client, error) {
			return pop3dialogue.NewClient(c, config)
		},
		status:  func(a answer) string { return a.pop3 },
		tracker: func() tracker { return new(pop3dialogue.Tracker) },
		open:    func(c client) error { return c.(*pop3dialogue.Client).Stat() },
		unseen:  []string{"TOP", "UIDL"},
	},
}
