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
	c          *wire.Conn
	mechanisms []string
	extensions []string // of the upstream, for the client
	tag        string   // of the command that is answered next
	malformed  string   // the reply to the last login that was refused for its form
}

// NewServer begins a dialogue with a client that may log in by mechanisms. Beside
// what this end can do, it is told of extensions, which the upstream will have
// once the client is logged in. Some clients ask only once, before login.
func NewServer(c *wire.Conn, mechanisms, extensions []string) *Server {
	return &Server{c: c, mechanisms: mechanisms, extensions: offer(extensions)}
}

// capabilities are what CAPABILITY answers now.
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
	return strings.Join(append(caps, s.extensions...), " ")
}

// offer returns the extensions of an upstream that are not of the connection to
// it, or of logging in there.
func offer(upstream []string) []string {
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

// A reply is one that does not end the session, to a command not carried out:
// the tagged response without its tag.
type reply string

func (r reply) Error() string { return string(r) }

// errLiteral is what a client gets for octets that it sends unasked, in a
// command that was refused. They must not be taken for commands.
const errLiteral = wire.Violation("literal sent with a command that was refused")

// Greet writes the greeting, which the first ReadLogin sends.
func (s *Server) Greet() {
	s.c.Printf("* OK [CAPABILITY %s] xoauthd ready", s.capabilities())
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
		var r reply
		switch {
		case errors.As(err, &r):
			s.c.Printf("%s %s", s.tag, r)
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
	verb, args, _ := strings.Cut(rest, " ")
	verb = strings.ToUpper(verb)
	if !isTag(tag) || !isVerb(verb) {
		// The line may be a misplaced password or markup: no part of it is repeated.
		s.tag = "*"
		s.c.Heard("(not a command)")
		return c, false, s.bad(line, `expected "tag command"`)
	}
	s.tag = tag
	if !slices.Contains(commands, verb) {
		s.c.Heard("(not a command before login)") // which may be so too
		return c, false, s.bad(args, "log in first: this is not a command before login")
	}
	s.c.Heard(tag + " " + verb)

	switch verb {
	case "CAPABILITY", "NOOP", "LOGOUT":
		if strings.Trim(args, " ") != "" {
			return c, false, s.bad(args, verb+" takes no arguments")
		}
		return c, false, s.simple(verb)
	case "ID":
		if err := (&arguments{s: s, line: args}).skip(); err != nil {
			return c, false, err
		}
		s.c.Printf(`* ID ("name" "xoauthd")`)
		s.c.Printf("%s OK ID completed", tag)
	case "LOGIN", "AUTHENTICATE":
		c, err = s.logIn(verb, args)
		if r := reply(""); errors.As(err, &r) {
			s.malformed = verb + ": " + string(r)
		}
		return c, err == nil, err
	case "STARTTLS":
		return c, false, s.startTLS(args)
	}
	return c, false, nil
}

// startTLS begins TLS (RFC 9051 section 6.2.1). What the client has been told and
// has said before does not count: both are asked anew.
func (s *Server) startTLS(args string) error {
	switch {
	case strings.Trim(args, " ") != "":
		return s.bad(args, "STARTTLS takes no arguments")
	case s.c.Secure():
		return s.bad(args, "TLS has begun already")
	case !s.c.OffersTLS():
		return s.bad(args, "TLS is not available here")
	}
	return s.c.AcceptTLS(s.tag + " OK begin TLS now")
}

// simple answers a command without arguments.
func (s *Server) simple(verb string) error {
	switch verb {
	case "CAPABILITY":
		s.c.Printf("* CAPABILITY %s", s.capabilities())
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
func (s *Server) refused(args string, r reply) error {
	if l := literal(args); l != nil && !l.synchronizing {
		s.c.Printf("%s %s", s.tag, r)
		return errLiteral
	}
	return r
}

// bad is refused for a command that the client gets wrong.
func (s *Server) bad(args, why string) error { return s.refused(args, reply("BAD "+why)) }

// logIn reads what the client logs in with. Before TLS, where that is required,
// it is not asked for a password.
func (s *Server) logIn(verb, args string) (sasl.Credentials, error) {
	switch {
	case s.c.NeedsTLS():
		return sasl.Credentials{}, s.refused(args, "NO [PRIVACYREQUIRED] begin TLS first, with STARTTLS")
	case verb == "LOGIN":
		return s.login(args)
	}
	return s.authenticate(args)
}

// login reads the two arguments of LOGIN (RFC 9051 section 6.2.3).
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

// authenticate runs a mechanism (RFC 9051 section 6.2.2, RFC 4959).
func (s *Server) authenticate(args string) (c sasl.Credentials, err error) {
	name, initial, more := strings.Cut(strings.TrimRight(args, " "), " ")
	mechanism, err := sasl.NewServer(name, s.mechanisms, &c)
	if err != nil {
		return c, s.refused(args, reply("NO [CANNOT] "+err.Error()))
	}
	err = sasl.Serve(mechanism, initial, more, func(challenge string) (string, error) {
		s.c.Printf("+ %s", challenge)
		line, err := s.c.ReadLine()
		s.c.Heard("(response)")
		return line, err
	})
	if wrong := sasl.ClientError(""); errors.As(err, &wrong) {
		return c, s.bad(args, "AUTHENTICATE "+strings.ToUpper(name)+": "+string(wrong))
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

// Malformed returns the reply to the last login that did not get as far as a user
// name and a password, or nothing.
func (s *Server) Malformed() string { return s.malformed }

// Bye tells the client that the session ends, and why.
func (s *Server) Bye(code, text string) {
	s.c.Printf("* BYE [%s] %s", code, text)
	s.c.Flush()
}
