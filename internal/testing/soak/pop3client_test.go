//go:build linux

package soak

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// most is the number of messages that a POP3 session retrieves at most.
const most = 20

// retrieving returns the work of a program that moves mail out of a mailbox.
func retrieving(l *ledger, as credentials) func(context.Context, *client) {
	return func(_ context.Context, c *client) {
		for {
			start := time.Now()
			s := c.dial()
			all, err := s.retrieve(l, as)
			s.close()
			if err != nil {
				c.failed(err.Error())
				time.Sleep(retryPause)
				continue
			}
			c.succeeded(start)
			if all {
				return
			}
		}
	}
}

// retrieve retrieves messages and deletes them. It reports whether it has retrieved all
// messages of the mailbox.
func (s *session) retrieve(l *ledger, as credentials) (all bool, err error) {
	s.positive("greeting", "")
	s.positive("USER", as.user)
	s.positive("PASS", as.password)
	s.positive("UIDL", "")
	list := s.dotted()
	var deleted []string
	for i, line := range strings.Split(strings.TrimSuffix(list, "\r\n"), "\r\n") {
		number, uid, found := strings.Cut(line, " ")
		if !found || i == most {
			break
		}
		s.positive("RETR", number)
		message := s.dotted()
		if s.err != nil {
			break
		}
		if _, ok := numberOf(message); !ok {
			l.damage(fmt.Sprintf("retrieved %.200q", message))
		}
		l.mark(uid, func(r *retrieval) { r.retrieved, r.again = true, r.confirmed })
		s.positive("DELE", number)
		deleted = append(deleted, uid)
	}
	s.positive("QUIT", "")
	if s.err != nil {
		if strings.Contains(s.err.Error(), "[AUTH]") { // a mail program would ask for another password
			l.damage(s.err.Error())
		}
		return false, s.err
	}
	for _, uid := range deleted {
		l.mark(uid, func(r *retrieval) { r.confirmed = true })
	}
	return len(deleted) < most, nil
}

// positive sends a command, unless verb is "greeting", and expects +OK.
func (s *session) positive(verb, argument string) {
	if verb != "greeting" {
		s.send(strings.TrimSpace(verb+" "+argument) + "\r\n")
	}
	if line := s.line(); s.err == nil && !strings.HasPrefix(line, "+OK") {
		s.err = fmt.Errorf("%s: %q: %w", verb, line, errReply)
	}
}

// dotted returns the lines before the one with a single dot.
func (s *session) dotted() string {
	var b strings.Builder
	for line := s.line(); s.err == nil && line != "."; line = s.line() {
		b.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
	}
	return b.String()
}
