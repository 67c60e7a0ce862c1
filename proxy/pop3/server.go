// Package pop3 implements the POP3 dialogue before login (RFC 1939, RFC 2449,
// RFC 5034): Server for the connection from the client, Client for the connection to
// the upstream. After login xoauthd relays octets.
package pop3

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
	user       string          // the argument of USER, until PASS
	malformed  string          // the reply to the last malformed login; see Malformed
}

// NewServer returns a Server that lets the client log in with mechanisms. It offers
// its own capabilities and those of the upstream, which extensions returns: some clients
// ask for capabilities only before login.
func NewServer(c *wire.Conn, mechanisms []string, extensions func() []string) *Server {
	return &Server{c: c, mechanisms: mechanisms, extensions: extensions}
}

// capabilities returns the current capabilities, one for each line.
func (s *Server) capabilities() []string {
	caps := []string{"RESP-CODES", "AUTH-RESP-CODE"}
	if s.c.OffersTLS() {
		caps = append(caps, "STLS")
	}
	if !s.c.NeedsTLS() {
		caps = append([]string{"USER", "SASL " + strings.Join(s.mechanisms, " ")}, caps...)
	}
	return append(caps, extensionsToOffer(s.extensions())...)
}

// extensionsToOffer returns the capabilities of an upstream that do not concern the
// connection to the upstream or the time before login.
func extensionsToOffer(upstream []string) []string {
	return slices.DeleteFunc(slices.Clone(upstream), func(line string) bool {
		switch keyword(line) {
		// UTF8 and LANG are commands before login (RFC 6856).
		case "", "USER", "SASL", "STLS", "RESP-CODES", "AUTH-RESP-CODE", "IMPLEMENTATION", "UTF8", "LANG":
			return true
		}
		return false
	})
}

// keyword returns the name of a capability.
func keyword(line string) string {
	word, _, _ := strings.Cut(line, " ")
	return strings.ToUpper(word)
}

// A commandError is the text of a -ERR reply that does not end the session.
type commandError string

func (c commandError) Error() string { return string(c) }

// Greet writes the greeting. The first ReadLogin sends it. It contains no timestamp,
// because a timestamp offers APOP (RFC 1939 section 7).
func (s *Server) Greet() { s.c.Printf("+OK xoauthd ready") }

// ReadLogin answers commands until the client logs in, and returns its credentials.
// The caller must then call Accept or Refuse. The error is io.EOF if the client
// quits or disconnects.
func (s *Server) ReadLogin() (sasl.Credentials, error) {
	for {
		line, err := s.c.ReadLine()
		if err != nil {
			return sasl.Credentials{}, err
		}
		credentials, done, err := s.handle(line)
		var cmdErr commandError
		switch {
		case errors.As(err, &cmdErr):
			s.c.Printf("-ERR %s", cmdErr)
		case err != nil || done:
			return credentials, err
		}
	}
}

// commands are the known commands before login.
var commands = []string{"CAPA", "USER", "PASS", "AUTH", "APOP", "STLS", "NOOP", "QUIT"}

// beforeTLS are the commands that a client may use if TLS is required and has not
// begun.
var beforeTLS = []string{"CAPA", "STLS", "NOOP", "QUIT"}

// handle answers one command. done is true if it was a login and c contains the
// credentials.
func (s *Server) handle(line string) (c sasl.Credentials, done bool, err error) {
	verb, args, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	if !slices.Contains(commands, verb) {
		s.c.TraceReceived("(not a command before login)") // may be a password
		return c, false, commandError("log in first: command not available before login")
	}
	s.c.TraceReceived(verb)
	if slices.Contains(logins, verb) {
		defer func() {
			if cmdErr := commandError(""); errors.As(err, &cmdErr) {
				s.malformed = verb + ": " + string(cmdErr)
			}
		}()
	}
	if s.c.NeedsTLS() && !slices.Contains(beforeTLS, verb) {
		return c, false, commandError("use STLS first")
	}

	switch verb {
	case "CAPA":
		s.list("capability list follows", s.capabilities())
	case "USER":
		return c, false, s.handleUser(args)
	case "PASS":
		c, err = s.handlePass(args)
		return c, err == nil, err
	case "AUTH":
		if args = strings.TrimSpace(args); args == "" {
			s.list("mechanisms", s.mechanisms)
			return c, false, nil
		}
		c, err = s.auth(args)
		return c, err == nil, err
	case "APOP":
		return c, false, commandError("APOP is not available: use USER and PASS")
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

// startTLS begins TLS (RFC 2595 section 4). Afterwards the client has to send USER
// again.
func (s *Server) startTLS(args string) error {
	switch {
	case strings.TrimSpace(args) != "":
		return commandError("STLS takes no arguments")
	case s.c.Secure():
		return commandError("TLS is already active")
	case !s.c.OffersTLS():
		return commandError("TLS is not available")
	}
	s.user = ""
	return s.c.AcceptTLS("+OK begin TLS now")
}

// list writes a multi-line reply (RFC 1939 section 3).
func (s *Server) list(what string, lines []string) {
	s.c.Printf("+OK %s", what)
	for _, line := range lines {
		s.c.Printf("%s", line)
	}
	s.c.Printf(".")
}

// handleUser stores the argument of USER (RFC 1939 section 7).
func (s *Server) handleUser(user string) error {
	user = strings.TrimSpace(user)
	if user == "" {
		return commandError("USER requires a name")
	}
	s.user = user
	s.c.Printf("+OK send PASS")
	return nil
}

// handlePass handles PASS. The password is the rest of the line, including spaces.
func (s *Server) handlePass(password string) (c sasl.Credentials, err error) {
	switch {
	case s.user == "":
		return c, commandError("send USER first")
	case password == "":
		return c, commandError("PASS requires a password")
	}
	c = sasl.Credentials{User: s.user, Password: password}
	s.user = ""
	return c, nil
}

// auth runs a SASL mechanism (RFC 5034 section 4).
func (s *Server) auth(args string) (c sasl.Credentials, err error) {
	name, initial, hasInitial := strings.Cut(args, " ")
	mechanism, err := sasl.NewServer(name, s.mechanisms, &c)
	if err != nil {
		return c, commandError(err.Error())
	}
	err = sasl.Serve(mechanism, initial, hasInitial, func(challenge string) (string, error) {
		s.c.Printf("+ %s", challenge)
		line, err := s.c.ReadLine()
		s.c.TraceReceived("(response)")
		return line, err
	})
	if cmdErr := sasl.ClientError(""); errors.As(err, &cmdErr) {
		return c, commandError("AUTH " + strings.ToUpper(name) + ": " + string(cmdErr))
	}
	return c, err
}

// Accept writes the reply of the upstream to the login, as Client.Authenticate
// returns it. After that, the relay uses the connection.
func (s *Server) Accept(welcome []string) {
	for _, line := range welcome {
		s.c.Printf("%s", line)
	}
}

// Refuse writes a negative reply to the login, with a response code of RFC 2449 or
// RFC 3206. The client may try again.
func (s *Server) Refuse(code, text string) { s.c.Printf("-ERR [%s] %s", code, text) }

// Malformed returns the reply to the last login that was malformed and contained no
// complete credentials. It is empty if there was none.
func (s *Server) Malformed() string { return s.malformed }

// Bye sends a -ERR reply with the reason for the end of the session. POP3 has no
// separate reply for that, and many servers do the same.
func (s *Server) Bye(code, text string) {
	s.Refuse(code, text)
	s.c.Flush()
}
