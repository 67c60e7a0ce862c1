//go:build linux

package soak

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// appending returns the work of a program that appends a message to a mailbox and
// fetches it.
func appending(l *ledger, as credentials) func(context.Context, *client) {
	return func(_ context.Context, c *client) {
		c.deliver(l, "imap", func(message string) (outcome, string) {
			s := c.dial()
			defer s.close()
			result, reply := s.append(as, message)
			if result == accepted && s.err == nil {
				s.compare(l, reply, message)
			}
			return result, reply
		})
	}
}

// append logs in and appends a message. It returns the reply to that, or a reply
// before it that is an error.
func (s *session) append(as credentials, message string) (outcome, string) {
	reply := s.logIn(as)
	if ok(reply) {
		s.send(fmt.Sprintf("b APPEND INBOX {%d}\r\n", len(message)))
		if reply = s.tagged("b"); strings.HasPrefix(reply, "+") {
			s.send(message + "\r\n")
			reply = s.tagged("b")
		}
	}
	switch {
	case s.conn == nil:
		return deferred, fmt.Sprint(s.err)
	case ok(reply):
		return accepted, reply
	case reply == "":
		return broken, fmt.Sprint(s.err)
	case strings.HasPrefix(reply, "* BYE"):
		return deferred, reply
	case strings.Contains(reply, " BAD ") || strings.Contains(reply, "[AUTHENTICATIONFAILED]"):
		return refused, reply // a mail program would ask for another password
	}
	return deferred, reply
}

// logIn returns the reply to LOGIN, or the greeting if that is not OK.
func (s *session) logIn(as credentials) string {
	greeting := s.line()
	if !strings.HasPrefix(greeting, "* OK") {
		return greeting
	}
	s.send(fmt.Sprintf("a LOGIN %s %s\r\n", as.user, as.password))
	return s.tagged("a")
}

// tagged returns the next tagged response, continuation request or BYE.
func (s *session) tagged(tag string) string {
	for {
		line := s.line()
		if line == "" || strings.HasPrefix(line, tag+" ") || strings.HasPrefix(line, "+") || strings.HasPrefix(line, "* BYE") {
			return line
		}
	}
}

func ok(reply string) bool {
	_, rest, _ := strings.Cut(reply, " ")
	return strings.HasPrefix(rest, "OK")
}

var (
	appendUID = regexp.MustCompile(`\[APPENDUID \d+ (\d+)\]`)
	literalOf = regexp.MustCompile(`^\* \d+ FETCH .*\{(\d+)\}$`)
)

// compare fetches the message whose APPEND had this reply, and records a difference. It
// ignores that the session is lost.
func (s *session) compare(l *ledger, reply, message string) {
	uid := appendUID.FindStringSubmatch(reply)
	if uid == nil {
		l.damage("no APPENDUID in " + reply)
		return
	}
	s.send("c SELECT INBOX\r\n")
	s.tagged("c")
	s.send("d UID FETCH " + uid[1] + " BODY.PEEK[]\r\n")
	got := ""
	for line := s.line(); s.err == nil && !strings.HasPrefix(line, "d "); line = s.line() {
		if size := literalOf.FindStringSubmatch(line); size != nil {
			n, _ := strconv.Atoi(size[1])
			b := make([]byte, n)
			_, s.err = io.ReadFull(s.in, b)
			got = string(b)
		}
		if strings.HasPrefix(line, "* BYE") {
			return
		}
	}
	if s.err == nil && got != message {
		l.damage(fmt.Sprintf("fetched %.200q", got))
	}
	s.send("e LOGOUT\r\n")
	s.tagged("e")
}

// idling returns the work of a program that waits for new mail. Each notification is a
// success.
func idling(as credentials) func(context.Context, *client) {
	return func(ctx context.Context, c *client) {
		s := c.dial()
		defer s.close()
		defer context.AfterFunc(ctx, s.close)()
		if reply := s.logIn(as); !ok(reply) {
			c.failed(fmt.Sprintf("login: %q, %v", reply, s.err))
			time.Sleep(retryPause)
			return
		}
		s.send("b SELECT INBOX\r\n")
		s.tagged("b")
		s.send("c IDLE\r\n")
		s.tagged("c")
		for s.err == nil {
			s.conn.SetDeadline(time.Now().Add(clientTime))
			if line := s.line(); strings.HasSuffix(line, " EXISTS") {
				c.succeeded(time.Now())
			}
		}
		c.failed(fmt.Sprintf("idle: %v", s.err))
	}
}
