// Package smtp speaks both ends of mail submission (RFC 6409, RFC 5321) up to
// login: Server to the client, Client to the upstream. After that there is
// nothing to speak; bytes are relayed.
package smtp

import (
	"errors"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Server is the server's end of a dialogue with a client.
type Server struct {
	c          *wire.Conn
	mechanisms []string
	extensions func(hello string, wanted bool) []string
	hello      string // what the client called itself; empty before EHLO or HELO
	deferred   bool   // the last login failed, but may succeed later
	malformed  string // the reply to the last AUTH that was refused for its form
}

// NewServer begins a dialogue with a client that may log in by mechanisms. The
// client does not say EHLO again after AUTH, so it must be told then of the
// extensions of the upstream that it will talk to: extensions returns them as the
// upstream wrote them, if wanted. It is called at EHLO, and at HELO, which wants none,
// with the client's name, or an address literal if what the client said could not be
// one (RFC 5321 section 4.1.3): the upstream is told the same.
func NewServer(c *wire.Conn, mechanisms []string, extensions func(hello string, wanted bool) []string) *Server {
	return &Server{c: c, mechanisms: mechanisms, extensions: extensions}
}

// A reply is one that does not end the session, to a command not carried out.
type reply string

func (r reply) Error() string { return string(r) }

// commands are those that may be given before AUTH, if only to be refused.
var commands = []string{
	"EHLO", "HELO", "NOOP", "RSET", "HELP", "VRFY", "QUIT", "STARTTLS",
	"MAIL", "RCPT", "DATA", "BDAT", "BURL", "ETRN", "EXPN",
}

// beforeTLS are the commands that mean what they always do even where TLS is
// required and has not begun (RFC 3207 section 4). BDAT ends the session.
var beforeTLS = []string{"EHLO", "NOOP", "QUIT", "STARTTLS", "BDAT"}

// A command that needs a login is refused for good, or for now after a login that
// failed for now: there are clients that go on after that, and return the message
// to its sender if mail is refused for good.
const (
	errLogIn    = reply("530 5.7.0 log in first, with AUTH")
	errDeferred = reply("451 4.7.0 the login failed for now; try again later")
)

// errData is how BDAT ends before login: its octets are on their way, unasked
// (RFC 3030 section 2), and must not be taken for commands.
const errData = wire.Violation("message sent before login")

// Greet writes the greeting, which the first ReadLogin sends.
func (s *Server) Greet() { s.c.Printf("220 %s ESMTP xoauthd ready", serverName) }

// serverName is the name of the server in the greeting and in the reply to EHLO. No
// host has a name in .invalid (RFC 6761). A client that found its own name there,
// or localhost, would take itself for the server and report a mail loop.
const serverName = "xoauthd.invalid"

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
			s.c.Printf("%s", r)
		case err != nil || done:
			return credentials, err
		}
	}
}

// command answers one command. It is done at one that logs in.
func (s *Server) command(line string) (c sasl.Credentials, done bool, err error) {
	verb, args, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	if verb == "AUTH" {
		s.c.TraceReceived("AUTH (credentials)")
		c, err = s.auth(strings.TrimSpace(args))
		if r := reply(""); errors.As(err, &r) {
			s.malformed = "AUTH: " + string(r)
		}
		return c, err == nil, err
	}
	if !slices.Contains(commands, verb) {
		s.c.TraceReceived("(not a command)") // but maybe a password that got lost
		return c, false, reply("500 5.5.1 not a command before login")
	}
	s.c.TraceReceived(line)
	if s.c.NeedsTLS() && !slices.Contains(beforeTLS, verb) {
		return c, false, reply("530 5.7.0 begin TLS first, with STARTTLS")
	}
	switch verb {
	case "EHLO", "HELO":
		return c, false, s.ehlo(verb, strings.TrimSpace(args))
	case "NOOP", "RSET":
		s.c.Printf("250 2.0.0 OK")
	case "HELP":
		s.c.Printf("214 2.0.0 log in with AUTH %s; then the mail server itself answers", strings.Join(s.mechanisms, " or "))
	case "VRFY":
		s.c.Printf("252 2.5.2 cannot say; send it some mail")
	case "QUIT":
		s.c.Printf("221 2.0.0 bye")
		s.c.Flush()
		return c, false, io.EOF
	case "STARTTLS":
		return c, false, s.startTLS(args)
	case "BDAT":
		s.c.Printf("%s", s.needsLogin())
		return c, false, errData
	default:
		return c, false, s.needsLogin()
	}
	return c, false, nil
}

func (s *Server) needsLogin() reply {
	if s.deferred {
		return errDeferred
	}
	return errLogIn
}

// ehlo answers EHLO and HELO (RFC 5321 section 4.1.1.1).
func (s *Server) ehlo(verb, name string) error {
	if name == "" {
		return reply("501 5.5.4 " + verb + " takes a name")
	}
	s.hello = name
	lines := []string{serverName}
	if verb == "EHLO" {
		lines = append(lines, s.offer()...)
	} else if !s.c.NeedsTLS() {
		s.extensions(helloName(name), false)
	}
	for _, line := range lines[:len(lines)-1] {
		s.c.Printf("250-%s", line)
	}
	s.c.Printf("250 %s", lines[len(lines)-1])
	return nil
}

// offer returns the extensions for the client: those of the upstream, but for
// what concerns the connection to it, and with our own of that kind. Before TLS
// where that is required there is nothing but TLS, and the upstream need not be
// troubled: who wrote the EHLO is not known.
func (s *Server) offer() (lines []string) {
	if s.c.NeedsTLS() {
		return []string{"STARTTLS"}
	}
	for _, line := range s.extensions(helloName(s.hello), true) {
		switch keyword(line) {
		case "STARTTLS", "AUTH":
			continue
		case "REQUIRETLS":
			// It must not be offered outside TLS (RFC 8689 section 2). Inside, the
			// upstream keeps what it promises: it is reached by TLS only.
			if !s.c.Secure() {
				continue
			}
		}
		lines = append(lines, line)
	}
	if s.c.OffersTLS() {
		lines = append(lines, "STARTTLS")
	}
	return append(lines, "AUTH "+strings.Join(s.mechanisms, " "))
}

// startTLS begins TLS (RFC 3207 section 4). What the client has said before does
// not count, not even EHLO.
func (s *Server) startTLS(args string) error {
	switch {
	case strings.TrimSpace(args) != "":
		return reply("501 5.5.4 STARTTLS takes no arguments")
	case s.c.Secure():
		return reply("503 5.5.1 TLS has begun already")
	case !s.c.OffersTLS():
		return reply("502 5.5.1 TLS is not available here")
	}
	s.hello = ""
	return s.c.AcceptTLS("220 2.0.0 begin TLS now")
}

// keyword is the name of the extension of an EHLO line. "AUTH=LOGIN" is how
// old servers say it to clients that are older still.
func keyword(line string) string {
	word, _, _ := strings.Cut(line, " ")
	word, _, _ = strings.Cut(word, "=")
	return strings.ToUpper(word)
}

// auth runs a mechanism (RFC 4954 section 4).
func (s *Server) auth(args string) (c sasl.Credentials, err error) {
	switch {
	case s.c.NeedsTLS():
		return c, reply("538 5.7.11 begin TLS first, with STARTTLS")
	case s.hello == "":
		return c, reply("503 5.5.1 say EHLO first")
	}
	name, initial, more := strings.Cut(args, " ")
	mechanism, err := sasl.NewServer(name, s.mechanisms, &c)
	if err != nil {
		return c, reply("504 5.5.4 " + err.Error())
	}
	err = sasl.Serve(mechanism, initial, more, func(challenge string) (string, error) {
		s.c.Printf("334 %s", challenge)
		line, err := s.c.ReadLine()
		s.c.TraceReceived("(response)")
		return line, err
	})
	if wrong := sasl.ClientError(""); errors.As(err, &wrong) {
		return c, reply("501 5.5.2 AUTH " + strings.ToUpper(name) + ": " + string(wrong))
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

// Refuse tells the client that it is not logged in. status is a reply code and
// an enhanced one (RFC 3463). It may try again.
func (s *Server) Refuse(status, text string) {
	s.deferred = strings.HasPrefix(status, "4")
	s.c.Printf("%s %s", status, text)
}

// Malformed returns the reply to the last AUTH that did not get as far as a user name
// and a password, or nothing.
func (s *Server) Malformed() string { return s.malformed }

// Bye tells the client that the session ends, and why: 421 may answer any
// command, and none (RFC 5321 section 3.8). Of status it takes the subject and
// the detail of the enhanced code.
func (s *Server) Bye(status, text string) {
	_, enhanced, _ := strings.Cut(status, ".")
	s.c.Printf("421 4.%s %s", enhanced, text)
	s.c.Flush()
}

// helloName returns name if a server must take it as a domain or an address
// literal, and otherwise the literal of this machine: printers call themselves
// what their owners typed.
func helloName(name string) string {
	if literal.MatchString(name) {
		text, v6 := strings.CutPrefix(name[1:len(name)-1], "IPv6:")
		if a, err := netip.ParseAddr(text); err == nil && a.Is6() == v6 {
			return name
		}
	}
	if len(name) <= maxDomain && domain.MatchString(name) {
		return name
	}
	return "[127.0.0.1]"
}

const maxDomain = 255 // RFC 5321 section 4.5.3.1.2

var (
	literal = regexp.MustCompile(`^\[(IPv6:)?[0-9A-Fa-f.:]+\]$`)
	domain  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
)
