//go:build linux

package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A ledger records for each message what the clients and the mail server know.
type ledger struct {
	mu       sync.Mutex
	messages []*message // by number
	kills    []time.Time
	damaged  []string // received texts that no client has sent
	cut      int      // messages of which the mail server received only a part
	pop3     map[string]*retrieval
}

// A message has one number, which is in its text.
type message struct {
	protocol   string // "smtp" or "imap"
	attempts   []attempt
	deliveries []*delivery
}

// An attempt to send a message is what one client knows.
type attempt struct {
	start, end time.Time
	outcome    outcome
	words      string // of the last reply or error
}

// An outcome of an attempt decides whether the client tries again.
type outcome string

const (
	accepted outcome = "accepted"
	deferred outcome = "deferred" // a temporary failure, or no connection
	broken   outcome = "broken"   // the connection was lost before the reply
	refused  outcome = "refused"  // a permanent failure: an MTA would bounce the message
)

// A delivery is what the mail server knows.
type delivery struct {
	stored, acknowledged time.Time // acknowledged is zero if the reply was not sent
}

func newLedger() *ledger { return &ledger{pop3: make(map[string]*retrieval)} }

// add begins a message, and returns its number.
func (l *ledger) add(protocol string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, &message{protocol: protocol})
	return len(l.messages) - 1
}

func (l *ledger) attempted(number int, a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[number].attempts = append(l.messages[number].attempts, a)
}

// text is the message of a number. Some lines begin with a dot.
func text(number int) string {
	random := rand.New(rand.NewPCG(uint64(number), 1))
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: number %d\r\n\r\n", accounts[0], accounts[0], number)
	for range random.IntN(100) {
		fmt.Fprintf(&b, ".%x\r\n%x\r\n", random.Uint64(), random.Uint64())
	}
	b.WriteString("the end\r\n")
	return b.String()
}

// numberOf returns the number of a message that has arrived as it was sent.
func numberOf(arrived string) (number int, ok bool) {
	_, rest, _ := strings.Cut(arrived, "\r\nSubject: number ")
	digits, _, _ := strings.Cut(rest, "\r\n")
	number, err := strconv.Atoi(digits)
	return number, err == nil && arrived == text(number)
}

// store records what has arrived at the mail server. It returns nil if no client has
// sent that.
func (l *ledger) store(arrived string) *delivery {
	number, ok := numberOf(arrived)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ok && number < len(l.messages):
		d := &delivery{stored: time.Now()}
		l.messages[number].deliveries = append(l.messages[number].deliveries, d)
		return d
	case strings.HasSuffix(arrived, "the end\r\n"):
		l.damaged = append(l.damaged, fmt.Sprintf("%.200q", arrived))
	default: // if the connection is lost during BDAT, go-smtp delivers the part
		l.cut++
	}
	return nil
}

// damage records a reply or a message that a client must not receive.
func (l *ledger) damage(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.damaged = append(l.damaged, what)
}

// damages returns the damaged texts, and the number of messages that were cut.
func (l *ledger) damages() (damaged []string, cut int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.damaged), l.cut
}

func (l *ledger) acknowledged(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.acknowledged = time.Now()
}

// kill records that the daemon is killed now.
func (l *ledger) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kills = append(l.kills, time.Now())
}

const (
	// slack is the time within which the daemon passes a reply on or saves a grant, also
	// on a busy machine.
	slack = 2 * time.Second

	// inFlight is how long a message may be on its way to the mail server.
	inFlight = 500 * time.Millisecond
)

// killed reports whether the daemon was killed between begin and end, or within slack
// after end.
func (l *ledger) killed(begin, end time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.killedLocked(begin, end)
}

func (l *ledger) killedLocked(begin, end time.Time) bool {
	for _, k := range l.kills {
		if k.After(begin) && k.Before(end.Add(slack)) {
			return true
		}
	}
	return false
}

// A count is what became of the messages of a protocol.
type count struct {
	messages, accepted, attempts, deferred, broken, deliveries int

	// Duplicates by cause: the mail server sent no reply, the daemon was killed before
	// it could pass the reply on, and all others.
	unacknowledged, killed, duplicated int

	lost, refused, unfinished int
	problems                  []string
}

// count judges the messages that were sent with a protocol.
func (l *ledger) count(protocol string) (c count) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for number, m := range l.messages {
		if m.protocol == protocol {
			l.judge(&c, number, m)
		}
	}
	return c
}

func (l *ledger) judge(c *count, number int, m *message) {
	problem := func(n *int, what string) {
		*n++
		c.problems = append(c.problems, fmt.Sprintf("message %d %s: %s", number, what, m))
	}
	c.messages++
	c.attempts += len(m.attempts)
	c.deliveries += len(m.deliveries)
	last := refused
	for _, a := range m.attempts {
		last = a.outcome
		switch a.outcome {
		case deferred:
			c.deferred++
		case broken:
			c.broken++
		case refused:
			problem(&c.refused, "had a permanent failure")
		}
	}
	if last == accepted {
		c.accepted++
	} else {
		c.unfinished++
	}
	if last == accepted && len(m.deliveries) == 0 {
		problem(&c.lost, "was lost")
	}
	for i := 0; i+1 < len(m.deliveries); i++ {
		switch d := m.deliveries[i]; {
		case d.acknowledged.IsZero():
			c.unacknowledged++
		case l.killedLocked(d.stored.Add(-inFlight), d.acknowledged):
			c.killed++
		default:
			problem(&c.duplicated, "was sent again though it was acknowledged")
		}
	}
}

// String lists the attempts and the deliveries.
func (m *message) String() string {
	const form = "15:04:05.000"
	var all []string
	for _, a := range m.attempts {
		all = append(all, fmt.Sprintf("[%s to %s %s: %.200q]", a.start.Format(form), a.end.Format(form), a.outcome, a.words))
	}
	for _, d := range m.deliveries {
		all = append(all, fmt.Sprintf("[stored %s, acknowledged %s]", d.stored.Format(form), d.acknowledged.Format(form)))
	}
	return strings.Join(all, " ")
}
