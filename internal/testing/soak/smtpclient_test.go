//go:build linux

package soak

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
)

// A style is a way to send a message after the login. It returns the reply to the
// message, or a reply before it that is an error.
type style func(s *session, sender, message string) (reply string)

// smtpStyles are the ways of different MTAs.
var smtpStyles = map[string]style{
	"stepwise":          stepwise,
	"pipelined":         pipelined,
	"with BDAT at once": chunked,
}

// submitting returns the work of an MTA that sends one message.
func submitting(l *ledger, as credentials, send style) func(context.Context, *client) {
	return func(_ context.Context, c *client) {
		c.deliver(l, "smtp", func(message string) (outcome, string) {
			s := c.dial()
			defer s.close()
			return s.submit(as, message, send)
		})
	}
}

// submit logs in and sends a message.
func (s *session) submit(as credentials, message string, send style) (outcome, string) {
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + as.user + "\x00" + as.password))
	reply := s.reply()
	for _, command := range []string{"EHLO client.example", "AUTH PLAIN " + plain} {
		if positive(reply) {
			s.send(command + "\r\n")
			reply = s.reply()
		}
	}
	if positive(reply) {
		reply = send(s, as.user, message)
	}
	switch {
	case s.conn == nil:
		return deferred, fmt.Sprint(s.err)
	case positive(reply):
		return accepted, reply
	case reply == "":
		return broken, fmt.Sprint(s.err)
	case reply[0] == '5':
		return refused, reply
	}
	return deferred, reply
}

// reply returns the last line of the next reply, or "" after an error.
func (s *session) reply() string {
	for {
		if line := s.line(); len(line) < 4 || line[3] != '-' {
			return line
		}
	}
}

func positive(reply string) bool { return reply != "" && (reply[0] == '2' || reply[0] == '3') }

// ask sends commands one by one until one is refused. It returns the last reply.
func (s *session) ask(commands ...string) (reply string) {
	for _, command := range commands {
		s.send(command + "\r\n")
		if reply = s.reply(); !positive(reply) {
			return reply
		}
	}
	return reply
}

// replies reads up to n replies. It returns the first negative reply, or the last one.
func (s *session) replies(n int) (reply string) {
	for range n {
		if reply = s.reply(); !positive(reply) {
			return reply
		}
	}
	return reply
}

func envelope(sender string) []string {
	return []string{"MAIL FROM:<" + sender + ">", "RCPT TO:<" + accounts[len(accounts)-1] + ">"}
}

func dotted(message string) string {
	return strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:] + ".\r\n"
}

func stepwise(s *session, sender, message string) string {
	if reply := s.ask(append(envelope(sender), "DATA")...); !positive(reply) {
		return reply
	}
	s.send(dotted(message))
	reply := s.reply()
	s.send("QUIT\r\n")
	s.reply()
	return reply
}

// pipelined sends QUIT right after the message and half-closes, as Exim does.
func pipelined(s *session, sender, message string) string {
	s.send(strings.Join(append(envelope(sender), "DATA\r\n"), "\r\n"))
	if reply := s.replies(3); !positive(reply) {
		return reply
	}
	s.send(dotted(message) + "QUIT\r\n")
	s.halfClose()
	return s.reply()
}

// chunked sends all commands and the message at once and half-closes.
func chunked(s *session, sender, message string) string {
	chunk := fmt.Sprintf("BDAT %d LAST\r\n%sQUIT\r\n", len(message), message)
	s.send(strings.Join(append(envelope(sender), chunk), "\r\n"))
	s.halfClose()
	return s.replies(3)
}
