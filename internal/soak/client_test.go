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
	retryPause = 500 * time.Millisecond // a program waits longer, and has more time

	// clientTime is how long a client waits for a session in all. RFC 5321 section
	// 4.5.3.2 wants minutes for each step, and no fault here lasts that long.
	clientTime = 60 * time.Second
)

// A client is a mail program. It does its work once in every period.
type client struct {
	name    string
	period  time.Duration
	work    func(ctx context.Context, c *client) // notes each success by succeeded
	port    int
	account string

	mu       sync.Mutex
	good     time.Time // when the last success began
	words    string    // of the last failure
	sessions int
}

// newClients returns all clients of a soak. Their rate is modest: other tests run on
// the machine meanwhile.
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

// run works until ctx is done, and finishes what it has begun.
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

// deliver sends a new message until it is accepted, or refused for good.
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

// dial connects to the daemon. A connection that is refused is as one that is lost.
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

// halfClose tells the daemon that nothing more comes.
func (s *session) halfClose() {
	if s.err == nil {
		s.err = s.conn.CloseWrite()
	}
}

// line returns the next line, or nothing after an error.
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
