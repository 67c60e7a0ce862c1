// Package imap implements the IMAP dialogue before login (RFC 9051, RFC 3501):
// Server for the connection from the client, Client for the connection to the
// upstream. After login xoauthd relays octets.
package imap

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Server is the server side of a dialogue with a client. It is not safe for
// concurrent use.
type Server struct {
	c          *wire.Conn
	mechanisms []string
	extensions func() []string // of the upstream
	tag        string          // of the current command
	malformed  string          // the reply to the last malformed login; see Malformed
}

// NewServer returns a Server that lets the client log in with mechanisms. It offers
// its own capabilities and those of the upstream, which extensions returns: some clients
// ask for capabilities only before login.
func NewServer(c *wire.Conn, mechanisms []string, extensions func() []string) *Server {
	return &Server{c: c, mechanisms: mechanisms, extensions: extensions}
}

// capabilities returns the current capabilities.
func (s *Server) capabilities() string {
	caps := []string{"IMAP4rev1", "ID", "SASL-IR"}
	if s.c.OffersTLS() {
		caps = append(caps, "STARTTLS")
	}
	if s.c.NeedsTLS() {
		caps = append(caps, "LOGINDISABLED")
	} else {
		for _, m := range s.mechanisms {
			caps = append(caps, "AUTH="+m)
		}
	}
	return strings.Join(append(caps, extensionsToOffer(s.extensions())...), " ")
}

// extensionsToOffer returns the capabilities of an upstream that do not concern the
// connection to the upstream or the login there.
func extensionsToOffer(upstream []string) []string {
	return slices.DeleteFunc(slices.Clone(upstream), func(extension string) bool {
		extension = strings.ToUpper(extension)
		switch extension {
		case "IMAP4REV1", "ID", "SASL-IR", "STARTTLS", "LOGINDISABLED", "LOGIN-REFERRALS", "UNAUTHENTICATE",
			"LANGUAGE": // a command before login (RFC 5255)
			return true
		}
		return strings.HasPrefix(extension, "AUTH=")
	})
}

// A reply is an error that does not end the session: the tagged response without its
// tag.
type reply string

func (r reply) Error() string { return string(r) }

// errRefusedLiteral is the error of a non-synchronizing literal in a refused
// command. Its octets must not be taken for commands, so it ends the session.
const errRefusedLiteral = wire.Violation("literal sent with a command that was refused")

// Greet writes the greeting. The first ReadLogin sends it.
func (s *Server) Greet() {
	s.c.Printf("* OK [CAPABILITY %s] xoauthd ready", s.capabilities())
}

// ReadLogin answers commands until the client logs in, and returns its credentials.
// The caller must then call Accept or Refuse. The error is io.EOF if the client logs
// out or disconnects.
func (s *Server) ReadLogin() (sasl.Credentials, error) {
	for {
		line, err := s.c.ReadLine()
		if err != nil {
			return sasl.Credentials{}, err
		}
		credentials, done, err := s.handle(line)
		var r reply
		switch {
		case errors.As(err, &r):
			s.c.Printf("%s %s", s.tag, r)
		case err != nil || done:
			return credentials, err
		}
	}
}

// commands are the commands before login (RFC 9051 section 6, RFC 2971).
var commands = []string{"CAPABILITY", "NOOP", "LOGOUT", "ID", "LOGIN", "AUTHENTICATE", "STARTTLS"}

// handle answers one command. done is true if it was a login and c contains the
// credentials.
func (s *Server) handle(line string) (c sasl.Credentials, done bool, err error) {
	tag, rest, _ := strings.Cut(line, " ")
	name, args, _ := strings.Cut(rest, " ")
	name = strings.ToUpper(name)
	if !isTag(tag) || !isCommandName(name) {
		// The line may be a misplaced password or markup: repeat no part of it.
		s.tag = "*"
		s.c.TraceReceived("(not a command)")
		return c, false, s.badReply(line, `expected "tag command"`)
	}
	s.tag = tag
	if !slices.Contains(commands, name) {
		s.c.TraceReceived("(not a command before login)") // may be a password
		return c, false, s.badReply(args, "log in first: command not available before login")
	}
	s.c.TraceReceived(tag + " " + name)

	switch name {
	case "CAPABILITY", "NOOP", "LOGOUT":
		if strings.Trim(args, " ") != "" {
			return c, false, s.badReply(args, name+" takes no arguments")
		}
		return c, false, s.handleSimple(name)
	case "ID":
		if err := (&arguments{s: s, line: args}).skip(); err != nil {
			return c, false, err
		}
		s.c.Printf(`* ID ("name" "xoauthd")`)
		s.c.Printf("%s OK ID completed", tag)
	case "LOGIN", "AUTHENTICATE":
		c, err = s.logIn(name, args)
		if r := reply(""); errors.As(err, &r) {
			s.malformed = name + ": " + string(r)
		}
		return c, err == nil, err
	case "STARTTLS":
		return c, false, s.startTLS(args)
	}
	return c, false, nil
}

// startTLS begins TLS (RFC 9051 section 6.2.1). Afterwards the client has to ask for
// the capabilities again.
func (s *Server) startTLS(args string) error {
	switch {
	case strings.Trim(args, " ") != "":
		return s.badReply(args, "STARTTLS takes no arguments")
	case s.c.Secure():
		return s.badReply(args, "TLS is already active")
	case !s.c.OffersTLS():
		return s.badReply(args, "TLS is not available")
	}
	return s.c.AcceptTLS(s.tag + " OK begin TLS now")
}

// handleSimple answers a command without arguments.
func (s *Server) handleSimple(name string) error {
	switch name {
	case "CAPABILITY":
		s.c.Printf("* CAPABILITY %s", s.capabilities())
	case "LOGOUT":
		s.c.Printf("* BYE logging out")
	}
	s.c.Printf("%s OK %s completed", s.tag, name)
	if name == "LOGOUT" {
		s.c.Flush()
		return io.EOF
	}
	return nil
}

// refuse returns the error of a refused command whose args have not been parsed. If
// they announce a non-synchronizing literal (RFC 7888), its octets would be taken
// for commands, so refuse replies and returns an error that ends the session.
func (s *Server) refuse(args string, r reply) error {
	if l := parseLiteral(args); l != nil && !l.synchronizing {
		s.c.Printf("%s %s", s.tag, r)
		return errRefusedLiteral
	}
	return r
}

// badReply is refuse with a BAD response, for a malformed command.
func (s *Server) badReply(args, why string) error { return s.refuse(args, reply("BAD "+why)) }

// logIn reads the credentials of LOGIN or AUTHENTICATE. It refuses both before TLS
// if TLS is required.
func (s *Server) logIn(name, args string) (sasl.Credentials, error) {
	switch {
	case s.c.NeedsTLS():
		return sasl.Credentials{}, s.refuse(args, "NO [PRIVACYREQUIRED] use STARTTLS first")
	case name == "LOGIN":
		return s.login(args)
	}
	return s.authenticate(args)
}

// login reads the arguments of LOGIN (RFC 9051 section 6.2.3).
func (s *Server) login(line string) (sasl.Credentials, error) {
	a := &arguments{s: s, line: strings.TrimLeft(line, " ")}
	user, err := a.astring()
	if err != nil {
		return sasl.Credentials{}, err
	}
	if err := a.space(); err != nil {
		return sasl.Credentials{}, err
	}
	password, err := a.astring()
	if err != nil {
		return sasl.Credentials{}, err
	}
	if err := a.end(); err != nil {
		return sasl.Credentials{}, err
	}
	return sasl.Credentials{User: user, Password: password}, nil
}

// authenticate runs a SASL mechanism (RFC 9051 section 6.2.2, RFC 4959).
func (s *Server) authenticate(args string) (c sasl.Credentials, err error) {
	name, initial, hasInitial := strings.Cut(strings.TrimRight(args, " "), " ")
	mechanism, err := sasl.NewServer(name, s.mechanisms, &c)
	if err != nil {
		return c, s.refuse(args, reply("NO [CANNOT] "+err.Error()))
	}
	err = sasl.Serve(mechanism, initial, hasInitial, func(challenge string) (string, error) {
		s.c.Printf("+ %s", challenge)
		line, err := s.c.ReadLine()
		s.c.TraceReceived("(response)")
		return line, err
	})
	if clientErr := sasl.ClientError(""); errors.As(err, &clientErr) {
		return c, s.badReply(args, "AUTHENTICATE "+strings.ToUpper(name)+": "+string(clientErr))
	}
	return c, err
}

// Accept writes the responses of the upstream to the login, as Client.Authenticate
// returns them. After that, the relay uses the connection.
func (s *Server) Accept(welcome []string) {
	last := len(welcome) - 1
	for _, line := range welcome[:last] {
		s.c.Printf("%s", line)
	}
	s.c.Printf("%s %s", s.tag, welcome[last])
}

// Refuse writes a NO response to the login, with a response code of RFC 5530. The
// client may try again.
func (s *Server) Refuse(code, text string) {
	s.c.Printf("%s NO [%s] %s", s.tag, code, text)
}

// Malformed returns the reply to the last login that was malformed and contained no
// complete credentials. It is empty if there was none.
func (s *Server) Malformed() string { return s.malformed }

// Bye sends a BYE response with the reason for the end of the session.
func (s *Server) Bye(code, text string) {
	s.c.Printf("* BYE [%s] %s", code, text)
	s.c.Flush()
}
