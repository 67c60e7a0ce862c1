//go:build linux

package soak

import "fmt"

// A retrieval records what happened to one message of the POP3 mailbox.
type retrieval struct {
	retrieved bool // by the client, intact
	deleted   bool // by the mail server
	confirmed bool // the client has received the reply to QUIT
	again     bool // retrieved after that
}

// mark changes the retrieval of a message.
func (l *ledger) mark(uid string, change func(*retrieval)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.pop3[uid]
	if r == nil {
		r = new(retrieval)
		l.pop3[uid] = r
	}
	change(r)
}

// A popCount sums up the retrievals.
type popCount struct {
	retrieved, deleted int
	problems           []string
}

// countPOP3 judges the retrievals. left is the number of messages still in the mailbox.
func (l *ledger) countPOP3(left int) (c popCount) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uid, r := range l.pop3 {
		if r.retrieved {
			c.retrieved++
		}
		if r.deleted {
			c.deleted++
		}
		switch {
		case r.deleted && !r.retrieved:
			c.problems = append(c.problems, fmt.Sprintf("%s was deleted before it was retrieved", uid))
		case r.confirmed && !r.deleted:
			c.problems = append(c.problems, fmt.Sprintf("%s was not deleted, and the client believes that it was", uid))
		case r.again:
			c.problems = append(c.problems, fmt.Sprintf("%s was retrieved after it was deleted", uid))
		}
	}
	if left > 0 {
		c.problems = append(c.problems, fmt.Sprintf("%d messages were not retrieved by POP3", left))
	}
	return c
}
