// Package pop3 speaks both ends of POP3 (RFC 1939, RFC 2449, RFC 5034) up to
// login: Server to the client, Client to the upstream. After that there is
// nothing to speak; bytes are relayed.
package pop3

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
	user       string   // what USER said, until PASS
	malformed  string   // the reply to the last login that was refused for its form
}

// NewServer begins a dialogue with a client that may log in by mechanisms. Beside
// what this end can do, it is told of extensions, which the upstream will have
// once the client is logged in. Some clients ask only once, before login.
func NewServer(c *wire.Conn, mechanisms, extensions []string) *Server {
	return &Server{c: c, mechanisms: mechanisms, extensions: offer(extensions)}
}

// capabilities are what CAPA answers now, a line each.
func (s *Server) capabilities() []string {
	caps := []string{"RESP-CODES", "AUTH-RESP-CODE"}
	if s.c.OffersTLS() {
		caps = append(caps, "STLS")
	}
	if !s.c.NeedsTLS() {
		caps = append([]string{"USER", "SASL " + strings.Join(s.mechanisms, " ")}, caps...)
	}
	return append(caps, s.extensions...)
}

// offer returns the capabilities of an upstream that are not of the connection
// to it, or of what is said there before login.
func offer(upstream []string) []string {
	return slices.DeleteFunc(slices.Clone(upstream), func(line string) bool {
		switch keyword(line) {
		// UTF8 and LANG are commands before login (RFC 6856).
		case "", "USER", "SASL", "STLS", "RESP-CODES", "AUTH-RESP-CODE", "IMPLEMENTATION", "UTF8", "LANG":
			return true
		}
		return false
	})
}

// keyword is the name of a capability.
func keyword(line string) string {
	word, _, _ := strings.Cut(line, " ")
	return strings.ToUpper(word)
}

// A complaint is about a command that is not carried out. It does not end the
// session.
type complaint string

func (c complaint) Error() string { return string(c) }

// Greet writes the greeting, which the first ReadLogin sends. It has no
// timestamp, which would offer APOP (RFC 1939 section 7).
func (s *Server) Greet() { s.c.Printf("+OK xoauthd ready") }

// ReadLogin answers the client until it logs in, and returns with what. The
// caller must then Accept or Refuse. The error is io.EOF if the client left.
func (s *Server) ReadLogin() (sasl.Credentials, error) {
	for {
		line, err := s.c.ReadLine()
		if err != nil {
			return sasl.Credentials{}, err
		}
		credentials, done, err := s.command(line)
		var wrong complaint
		switch {
		case errors.As(err, &wrong):
			s.c.Printf("-ERR %s", wrong)
		case err != nil || done:
			return credentials, err
		}
	}
}

// commands are those before login, if only to be refused.
var commands = []string{"CAPA", "USER", "PASS", "AUTH", "APOP", "STLS", "NOOP", "QUIT"}

// beforeTLS are those that are carried out even where TLS is required and has not
// begun.
var beforeTLS = []string{"CAPA", "STLS", "NOOP", "QUIT"}

// command answers one command. It is done at one that logs in.
func (s *Server) command(line string) (c sasl.Credentials, done bool, err error) {
	verb, args, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	if !slices.Contains(commands, verb) {
		s.c.TraceReceived("(not a command before login)") // but maybe a password that got lost
		return c, false, complaint("log in first: this is not a command before login")
	}
	s.c.TraceReceived(verb)
	if slices.Contains(logins, verb) {
		defer func() {
			if wrong := complaint(""); errors.As(err, &wrong) {
				s.malformed = verb + ": " + string(wrong)
			}
		}()
	}
	if s.c.NeedsTLS() && !slices.Contains(beforeTLS, verb) {
		return c, false, complaint("begin TLS first, with STLS")
	}

	switch verb {
	case "CAPA":
		s.list("what can be done here", s.capabilities())
	case "USER":
		return c, false, s.name(args)
	case "PASS":
		c, err = s.password(args)
		return c, err == nil, err
	case "AUTH":
		if args = strings.TrimSpace(args); args == "" {
			s.list("mechanisms", s.mechanisms)
			return c, false, nil
		}
		c, err = s.auth(args)
		return c, err == nil, err
	case "APOP":
		return c, false, complaint("APOP is not available here: use USER and PASS")
	case "STLS":
		return c, false, s.startTLS(args)
	case "NOOP":
		s.c.Printf("+OK")
	case "QUIT":
		s.c.Printf("+OK bye")
		s.c.Flush()
		return c, false, io.EOF
	}
	return c, false, nil
}

// startTLS begins TLS (RFC 2595 section 4). What the client has said before does
// not count.
func (s *Server) startTLS(args string) error {
	switch {
	case strings.TrimSpace(args) != "":
		return complaint("STLS takes no arguments")
	case s.c.Secure():
		return complaint("TLS has begun already")
	case !s.c.OffersTLS():
		return complaint("TLS is not available here")
	}
	s.user = ""
	return s.c.AcceptTLS("+OK begin TLS now")
}

// list answers in several lines (RFC 1939 section 3).
func (s *Server) list(what string, lines []string) {
	s.c.Printf("+OK %s", what)
	for _, line := range lines {
		s.c.Printf("%s", line)
	}
	s.c.Printf(".")
}

// name keeps the argument of USER (RFC 1939 section 7).
func (s *Server) name(user string) error {
	user = strings.TrimSpace(user)
	if user == "" {
		return complaint("USER takes a name")
	}
	s.user = user
	s.c.Printf("+OK now the password")
	return nil
}

// password is PASS: all that follows is its one argument, spaces included.
func (s *Server) password(password string) (c sasl.Credentials, err error) {
	switch {
	case s.user == "":
		return c, complaint("say USER first")
	case password == "":
		return c, complaint("PASS takes a password")
	}
	c = sasl.Credentials{User: s.user, Password: password}
	s.user = ""
	return c, nil
}

// auth runs a mechanism (RFC 5034 section 4).
func (s *Server) auth(args string) (c sasl.Credentials, err error) {
	name, initial, more := strings.Cut(args, " ")
	mechanism, err := sasl.NewServer(name, s.mechanisms, &c)
	if err != nil {
		return c, complaint(err.Error())
	}
	err = sasl.Serve(mechanism, initial, more, func(challenge string) (string, error) {
		s.c.Printf("+ %s", challenge)
		line, err := s.c.ReadLine()
		s.c.TraceReceived("(response)")
		return line, err
	})
	if wrong := sasl.ClientError(""); errors.As(err, &wrong) {
		return c, complaint("AUTH " + strings.ToUpper(name) + ": " + string(wrong))
	}
	return c, err
}

// Accept tells the client that it is logged in, in the upstream's words as
// Client.Authenticate returns them. What follows is for the relay.
func (s *Server) Accept(welcome []string) {
	for _, line := range welcome {
		s.c.Printf("%s", line)
	}
}

// Refuse tells the client that it is not logged in, with a response code of
// RFC 2449 or RFC 3206. It may try again.
func (s *Server) Refuse(code, text string) { s.c.Printf("-ERR [%s] %s", code, text) }

// Malformed returns the reply to the last login that did not get as far as a user
// name and a password, or nothing.
func (s *Server) Malformed() string { return s.malformed }

// Bye tells the client that the session ends, and why. There is no word for it
// but that of a refusal, which many servers say unasked.
func (s *Server) Bye(code, text string) {
	s.Refuse(code, text)
	s.c.Flush()
}
