// Package smtp implements the dialogue of mail submission before login (RFC 6409,
// RFC 5321): Server for the connection from the client, Client for the connection to
// the upstream. After login xoauthd relays octets.
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

// A Server is the server side of a dialogue with a client. It is not safe for
// concurrent use.
type Server struct {
	c          *wire.Conn
	mechanisms []string
	extensions func(hello string, wanted bool) []string
	clientName string // the argument of EHLO or HELO; empty before
	noLogin    bool   // see NewDeviceServer
	wrapped    bool   // the last line may be the first part of a response; see mayContinue
	deferred   bool   // the last login failed temporarily
	malformed  string // the reply to the last malformed AUTH; see Malformed
}

// NewServer returns a Server that lets the client log in with mechanisms. It calls
// extensions at EHLO and at HELO with the client's name, or with an address literal
// if the name is invalid (RFC 5321 section 4.1.3); the upstream receives the same
// name. If wanted is true, extensions returns the lines of the upstream's EHLO
// reply, because the client does not send EHLO again after AUTH. At HELO, wanted is
// false.
func NewServer(c *wire.Conn, mechanisms []string, extensions func(hello string, wanted bool) []string) *Server {
	return &Server{c: c, mechanisms: mechanisms, extensions: extensions}
}

// A reply is an error that does not end the session.
type reply string

func (r reply) Error() string { return string(r) }

// commands are the known commands other than AUTH. Those for messages are refused
// before login.
var commands = []string{
	"EHLO", "HELO", "NOOP", "RSET", "HELP", "VRFY", "QUIT", "STARTTLS",
	"MAIL", "RCPT", "DATA", "BDAT", "BURL", "ETRN", "EXPN",
}

// beforeTLS are the commands with their usual meaning if TLS is required and has not
// begun (RFC 3207 section 4). BDAT ends the session.
var beforeTLS = []string{"EHLO", "NOOP", "QUIT", "STARTTLS", "BDAT"}

// Replies to a command that requires login. After a temporary login failure the reply
// is temporary as well: some clients continue without login, and bounce the message
// if the reply is permanent.
const (
	errLoginRequired = reply("530 5.7.0 authentication required")
	errLoginDeferred = reply("451 4.7.0 temporary authentication failure; try again later")
)

// errEarlyMessage is the error of BDAT before login. Its octets are already in
// transit (RFC 3030 section 2) and must not be taken for commands, so it ends the
// session.
const errEarlyMessage = wire.Violation("message sent before login")

// Greet writes the greeting. The first ReadLogin sends it.
func (s *Server) Greet() { s.c.Printf("220 %s ESMTP xoauthd ready", serverName) }

// serverName is the host name in the greeting and in the EHLO reply. No host has a
// name in .invalid (RFC 6761). A client that found its own name there, or localhost,
// would report a mail loop.
const serverName = "xoauthd.invalid"

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
		var r reply
		switch {
		case errors.As(err, &r):
			s.c.Printf("%s", r)
		case err != nil || done:
			return credentials, err
		}
	}
}

// handle answers one command. done is true if it was a login and c contains the
// credentials.
func (s *Server) handle(line string) (c sasl.Credentials, done bool, err error) {
	verb, args, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	rest := s.wrapped && isBase64(line)
	s.wrapped = false
	if verb == "AUTH" {
		s.c.TraceReceived("AUTH (credentials)")
		if s.noLogin {
			return c, false, s.acceptAny(args)
		}
		c, err = s.auth(strings.TrimSpace(args))
		if r := reply(""); errors.As(err, &r) {
			s.malformed = "AUTH: " + string(r)
		}
		return c, err == nil, err
	}
	if !slices.Contains(commands, verb) {
		s.c.TraceReceived("(not a command)") // may be a password
		if rest {
			return c, false, nil
		}
		return c, false, reply("500 5.5.1 command not available before login")
	}
	s.c.TraceReceived(line)
	if s.c.NeedsTLS() && !slices.Contains(beforeTLS, verb) {
		return c, false, reply("530 5.7.0 use STARTTLS first")
	}
	switch verb {
	case "EHLO", "HELO":
		return c, false, s.ehlo(verb, strings.TrimSpace(args))
	case "NOOP", "RSET":
		s.c.Printf("250 2.0.0 OK")
	case "HELP":
		if s.noLogin {
			return c, false, reply("214 2.0.0 send mail with MAIL, RCPT and DATA")
		}
		s.c.Printf("214 2.0.0 log in with AUTH %s; other commands are available after login", strings.Join(s.mechanisms, " or "))
	case "VRFY":
		s.c.Printf("252 2.5.2 cannot VRFY user")
	case "QUIT":
		s.c.Printf("221 2.0.0 bye")
		s.c.Flush()
		return c, false, io.EOF
	case "STARTTLS":
		return c, false, s.startTLS(args)
	case "BDAT":
		s.c.Printf("%s", s.loginRequired())
		return c, false, errEarlyMessage
	case "MAIL":
		if s.noLogin {
			s.c.UnreadLine(line)
			return c, true, nil
		}
		return c, false, s.loginRequired()
	default:
		return c, false, s.loginRequired()
	}
	return c, false, nil
}

func (s *Server) loginRequired() reply {
	if s.noLogin {
		return "503 5.5.1 send MAIL first"
	}
	if s.deferred {
		return errLoginDeferred
	}
	return errLoginRequired
}

// ehlo answers EHLO and HELO (RFC 5321 section 4.1.1.1).
func (s *Server) ehlo(verb, name string) error {
	if name == "" && !s.noLogin {
		return reply("501 5.5.4 " + verb + " requires a name")
	}
	s.clientName = name
	lines := []string{serverName}
	if verb == "EHLO" {
		lines = append(lines, s.extensionsToOffer()...)
	} else if !s.c.NeedsTLS() {
		s.extensions(helloName(name), false)
	}
	for _, line := range lines[:len(lines)-1] {
		s.c.Printf("250-%s", line)
	}
	s.c.Printf("250 %s", lines[len(lines)-1])
	return nil
}

// extensionsToOffer returns the extensions for the client: those of the upstream,
// with xoauthd's own STARTTLS and AUTH in place of the upstream's. If TLS is
// required and has not begun, it returns STARTTLS only and does not connect to the
// upstream.
func (s *Server) extensionsToOffer() (lines []string) {
	if s.c.NeedsTLS() {
		return []string{"STARTTLS"}
	}
	for _, line := range s.extensions(helloName(s.clientName), true) {
		switch keyword(line) {
		case "STARTTLS", "AUTH":
			continue
		case "REQUIRETLS":
			// Offer it inside TLS only (RFC 8689 section 2). xoauthd connects to the
			// upstream by TLS only, so the upstream can keep the promise.
			if !s.c.Secure() {
				continue
			}
		}
		lines = append(lines, line)
	}
	if s.c.OffersTLS() {
		lines = append(lines, "STARTTLS")
	}
	if s.noLogin {
		return lines
	}
	return append(lines, "AUTH "+strings.Join(s.mechanisms, " "))
}

// startTLS begins TLS (RFC 3207 section 4). Afterwards the client has to send EHLO
// again.
func (s *Server) startTLS(args string) error {
	switch {
	case strings.TrimSpace(args) != "":
		return reply("501 5.5.4 STARTTLS takes no arguments")
	case s.c.Secure():
		return reply("503 5.5.1 TLS is already active")
	case !s.c.OffersTLS():
		return reply("502 5.5.1 TLS is not available: set encryption to none in the client")
	}
	s.clientName = ""
	return s.c.AcceptTLS("220 2.0.0 begin TLS now")
}

// keyword returns the name of the extension in an EHLO line. Old servers write
// "AUTH=LOGIN" for older clients.
func keyword(line string) string {
	word, _, _ := strings.Cut(line, " ")
	word, _, _ = strings.Cut(word, "=")
	return strings.ToUpper(word)
}

// auth runs a SASL mechanism (RFC 4954 section 4).
func (s *Server) auth(args string) (c sasl.Credentials, err error) {
	switch {
	case s.c.NeedsTLS():
		return c, reply("538 5.7.11 use STARTTLS first")
	case s.clientName == "":
		return c, reply("503 5.5.1 send EHLO first")
	}
	name, initial, hasInitial := strings.Cut(args, " ")
	mechanism, err := sasl.NewServer(name, s.mechanisms, &c)
	if err != nil {
		return c, reply("504 5.5.4 " + err.Error())
	}
	err = sasl.Serve(mechanism, initial, hasInitial, func(challenge string) (string, error) {
		s.c.Printf("334 %s", challenge)
		line, err := s.c.ReadLine()
		s.c.TraceReceived("(response)")
		return line, err
	})
	if clientErr := sasl.ClientError(""); errors.As(err, &clientErr) {
		return c, reply("501 5.5.2 AUTH " + strings.ToUpper(name) + ": " + string(clientErr))
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

// Refuse writes a negative reply to the login. status is a reply code and an
// enhanced code (RFC 3463). The client may try again.
func (s *Server) Refuse(status, text string) {
	s.deferred = strings.HasPrefix(status, "4")
	s.c.Printf("%s %s", status, text)
}

// Malformed returns the reply to the last AUTH that was malformed and contained no
// complete credentials. It is empty if there was none.
func (s *Server) Malformed() string { return s.malformed }

// Bye sends a 421 reply with the reason for the end of the session. A 421 reply may
// answer any command or none (RFC 5321 section 3.8). Bye uses the subject and the
// detail of the enhanced code in status.
func (s *Server) Bye(status, text string) {
	_, enhanced, _ := strings.Cut(status, ".")
	s.c.Printf("421 4.%s %s", enhanced, text)
	s.c.Flush()
}

// helloName returns name if it is a domain or an address literal, which servers must
// accept, and otherwise the literal of the loopback address. Printers send whatever
// their owners typed as the name.
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
