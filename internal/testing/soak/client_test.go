//go:build linux

package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	retryPause = 500 * time.Millisecond // a real program waits longer

	// clientTime is the time limit of a session. RFC 5321 section 4.5.3.2 requires
	// minutes for each step, but all faults of this test are shorter.
	clientTime = 60 * time.Second
)

// A client is a mail program. It does its work repeatedly, with a pause of period.
type client struct {
	name    string
	period  time.Duration
	work    func(ctx context.Context, c *client) // calls succeeded after each success
	port    int
	account string

	mu       sync.Mutex
	good     time.Time // when the last success began
	words    string    // of the last failure
	sessions int
}

// newClients returns the clients, of which the last reads by POP3. Their rate is low,
// because other tests run on the machine at the same time.
func newClients(d *daemon, l *ledger) []*client {
	last := accounts[len(accounts)-1]
	var all []*client
	add := func(name, account string, port int, period time.Duration, work func(context.Context, *client)) {
		all = append(all, &client{name: name, account: account, port: port, period: period, work: work})
	}
	login := func(account string) credentials { return credentials{account, d.password} }
	for name, style := range smtpStyles {
		add("smtp "+name, accounts[0], d.smtp, time.Second, submitting(l, login(accounts[0]), style))
	}
	add("smtp of another account", last, d.smtp, 1500*time.Millisecond, submitting(l, login(last), stepwise))
	add("imap", accounts[1], d.imap, time.Second, appending(l, login(accounts[1])))
	add("imap of another account", accounts[0], d.imap, 1500*time.Millisecond, appending(l, login(accounts[0])))
	add("imap idle", accounts[1], d.imap, 0, idling(login(accounts[1])))
	add("imap idle of another account", accounts[0], d.imap, 0, idling(login(accounts[0])))
	add("pop3", last, d.pop3, time.Second, retrieving(l, login(last)))
	return all
}

type credentials struct{ user, password string }

// run repeats the work until ctx is done, and completes the last message.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.work(ctx, c)
		select {
		case <-time.After(c.period):
		case <-ctx.Done():
		}
	}
}

func (c *client) succeeded(began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good = began
}

func (c *client) failed(words string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.words = time.Now().Format(time.TimeOnly) + " " + words
}

func (c *client) lastGood() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.good
}

func (c *client) lastWords() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.words
}

// count returns how many sessions the client has begun.
func (c *client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions
}

// deliver tries to send a new message until it is accepted or refused.
func (c *client) deliver(l *ledger, protocol string, try func(message string) (outcome, string)) {
	number := l.add(protocol)
	for {
		a := attempt{start: time.Now()}
		a.outcome, a.words = try(text(number))
		a.end = time.Now()
		l.attempted(number, a)
		switch a.outcome {
		case accepted:
			c.succeeded(a.start)
			return
		case refused:
			return
		}
		c.failed(a.words)
		time.Sleep(retryPause)
	}
}

// A session is a client's connection to the daemon. Its methods keep the first error.
type session struct {
	conn *net.TCPConn
	in   *bufio.Reader
	err  error
}

// dial connects to the daemon. If that fails, the session has an error and no conn.
func (c *client) dial() *session {
	c.mu.Lock()
	c.sessions++
	c.mu.Unlock()
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", c.port), 10*time.Second)
	if err != nil {
		return &session{err: err}
	}
	conn.SetDeadline(time.Now().Add(clientTime))
	return &session{conn: conn.(*net.TCPConn), in: bufio.NewReader(conn)}
}

func (s *session) close() {
	if s.conn != nil {
		s.conn.Close()
	}
}

// send sends text as it is.
func (s *session) send(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.conn, text)
	}
}

// halfClose closes the sending direction.
func (s *session) halfClose() {
	if s.err == nil {
		s.err = s.conn.CloseWrite()
	}
}

// line returns the next line, or "" after an error.
func (s *session) line() string {
	if s.err != nil {
		return ""
	}
	var line string
	if line, s.err = s.in.ReadString('\n'); s.err != nil {
		return ""
	}
	return strings.TrimRight(line, "\r\n")
}

var errReply = errors.New("not the reply that was expected")
