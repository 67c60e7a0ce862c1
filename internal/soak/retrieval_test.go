//go:build linux

package soak

import "fmt"

// A retrieval is what became of a message in the mailbox of POP3, by its UIDL.
type retrieval struct {
	retrieved bool // by the client, intact
	deleted   bool // by the mail server
	confirmed bool // the client knows that it is deleted
	again     bool // retrieved after the client knew
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

// A popCount is what became of the messages that POP3 clients retrieved.
type popCount struct {
	retrieved, deleted int
	problems           []string
}

// countPOP3 judges the retrievals. left are the messages that are still in the
// mailbox.
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
