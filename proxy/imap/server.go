// Package imap speaks both ends of IMAP (RFC 9051, RFC 3501) up to login: Server
// to the client, Client to the upstream. After that there is nothing to speak;
// bytes are relayed.
package imap

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Server is the server's end of a dialogue with a client.
type Server struct {
	c    *wire.Conn
	caps string // what CAPABILITY answers
	tag  string // of the command that is answered next
}

// NewServer begins a dialogue. Beside what this end can do, the client is told
// of extensions, which the upstream will have once the client is logged in.
// Some clients ask only once, before login.
func NewServer(c *wire.Conn, extensions []string) *Server {
	caps := []string{"IMAP4rev1", "ID", "SASL-IR"}
	for _, m := range sasl.Mechanisms {
		caps = append(caps, "AUTH="+m)
	}
	return &Server{c: c, caps: strings.Join(append(caps, offer(extensions)...), " ")}
}

// offer returns the extensions of an upstream that are not of the connection to
// it, or of logging in there.
func offer(upstream []string) []string {
	return slices.DeleteFunc(slices.Clone(upstream), func(extension string) bool {
		extension = strings.ToUpper(extension)
		switch extension {
		case "IMAP4REV1", "ID", "SASL-IR", "STARTTLS", "LOGINDISABLED", "LOGIN-REFERRALS", "UNAUTHENTICATE":
			return true
		}
		return strings.HasPrefix(extension, "AUTH=")
	})
}

// A syntaxError is an error of the client that does not end the session.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

// errLiteral is what a client gets for octets that it sends unasked, in a
// command that was refused. They must not be taken for commands.
const errLiteral = wire.Violation("literal sent with a command that was refused")

// Greet writes the greeting, which the first ReadLogin sends.
func (s *Server) Greet() {
	s.c.Printf("* OK [CAPABILITY %s] xoauthd ready", s.caps)
}

// ReadLogin answers the client until it logs in, and returns with what. The
// caller must then Accept or Refuse. The error is io.EOF if the client left.
func (s *Server) ReadLogin() (sasl.Credentials, error) {
	for {
		line, err := s.c.ReadLine()
		if err != nil {
			return sasl.Credentials{}, err
		}
		credentials, done, err := s.command(line)
		var syntax syntaxError
		switch {
		case errors.As(err, &syntax):
			s.c.Printf("%s BAD %s", s.tag, syntax)
		case err != nil || done:
			return credentials, err
		}
	}
}

// commands are those before login (RFC 9051 section 6, RFC 2971).
var commands = []string{"CAPABILITY", "NOOP", "LOGOUT", "ID", "LOGIN", "AUTHENTICATE", "STARTTLS"}

// command answers one command. It is done at one that logs in.
func (s *Server) command(line string) (c sasl.Credentials, done bool, err error) {
	tag, rest, _ := strings.Cut(line, " ")
	verb, args, more := strings.Cut(rest, " ")
	verb = strings.ToUpper(verb)
	if !isTag(tag) || !isVerb(verb) {
		// It may be a password that got lost: not even the tag is repeated.
		s.tag = "*"
		s.c.Heard("(not a command)")
		return c, false, s.refused(line, "a command is a tag, a space and a name")
	}
	s.tag = tag
	if !slices.Contains(commands, verb) {
		s.c.Heard("(not a command before login)") // which may be so too
		return c, false, s.refused(args, "log in first: this is not a command before login")
	}
	s.c.Heard(tag + " " + verb)

	switch verb {
	case "CAPABILITY", "NOOP", "LOGOUT":
		if more {
			return c, false, s.refused(args, verb+" takes no arguments")
		}
		return c, false, s.simple(verb)
	case "ID":
		if literal(args) != nil {
			return c, false, s.refused(args, "literals are not taken in ID")
		}
		s.c.Printf(`* ID ("name" "xoauthd")`)
		s.c.Printf("%s OK ID completed", tag)
	case "LOGIN":
		c, err = s.login(args)
		return c, err == nil, err
	case "AUTHENTICATE":
		c, err = s.authenticate(args)
		return c, err == nil, err
	case "STARTTLS":
		return c, false, s.refused(args, "TLS is not available here")
	}
	return c, false, nil
}

// simple answers a command without arguments.
func (s *Server) simple(verb string) error {
	switch verb {
	case "CAPABILITY":
		s.c.Printf("* CAPABILITY %s", s.caps)
	case "LOGOUT":
		s.c.Printf("* BYE logging out")
	}
	s.c.Printf("%s OK %s completed", s.tag, verb)
	if verb == "LOGOUT" {
		s.c.Flush()
		return io.EOF
	}
	return nil
}

// refused is the error for a command that is not carried out, of which args is
// not yet parsed. If the client sends a literal with it unasked (RFC 7888), its
// octets are on their way and would be taken for commands: that ends the session.
func (s *Server) refused(args, why string) error {
	if l := literal(args); l != nil && !l.synchronizing {
		s.c.Printf("%s BAD %s", s.tag, why)
		return errLiteral
	}
	return syntaxError(why)
}

// login reads the two arguments of LOGIN (RFC 9051 section 6.2.3).
func (s *Server) login(line string) (sasl.Credentials, error) {
	a := &arguments{s: s, line: line}
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

// authenticate runs a mechanism (RFC 9051 section 6.2.2, RFC 4959).
func (s *Server) authenticate(args string) (c sasl.Credentials, err error) {
	name, initial, more := strings.Cut(args, " ")
	mechanism := sasl.NewServer(name, &c)
	if mechanism == nil {
		return c, s.refused(args, "mechanisms are "+strings.Join(sasl.Mechanisms, " "))
	}
	err = sasl.Serve(mechanism, initial, more, func(challenge string) (string, error) {
		s.c.Printf("+ %s", challenge)
		line, err := s.c.ReadLine()
		s.c.Heard("(response)")
		return line, err
	})
	if wrong := sasl.ClientError(""); errors.As(err, &wrong) {
		return c, s.refused(args, "AUTHENTICATE "+strings.ToUpper(name)+": "+string(wrong))
	}
	return c, err
}

// Accept tells the client that it is logged in, in the upstream's words as
// Client.Authenticate returns them. What follows is for the relay.
func (s *Server) Accept(welcome []string) {
	last := len(welcome) - 1
	for _, line := range welcome[:last] {
		s.c.Printf("%s", line)
	}
	s.c.Printf("%s %s", s.tag, welcome[last])
}

// Refuse tells the client that it is not logged in, with a response code of
// RFC 5530. It may try again.
func (s *Server) Refuse(code, text string) {
	s.c.Printf("%s NO [%s] %s", s.tag, code, text)
}

// Bye tells the client that the session ends, and why.
func (s *Server) Bye(code, text string) {
	s.c.Printf("* BYE [%s] %s", code, text)
	s.c.Flush()
}
