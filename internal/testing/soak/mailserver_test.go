//go:build linux

package soak

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// A mailServer is the upstream server of all protocols. It records which of its replies
// to messages it has sent.
type mailServer struct {
	ledger *ledger
	user   func(token string) (account string, ok bool)
	tls    *tls.Config
	fault  atomic.Pointer[mailFault]
	pop3   mailbox

	mu     sync.Mutex
	serve  map[string]func(net.Listener) // by protocol
	ports  map[string]int
	listen map[string]net.Listener // closed while connections are refused
}

// A mailFault says how the mail server misbehaves. The zero value is no fault.
type mailFault struct {
	over chan struct{} // closed at the end of the fault

	unready   bool          // a temporary failure in place of the greeting
	noLogin   bool          // a temporary failure in reply to each login
	delay     time.Duration // before each reply
	hang      bool          // sends replies only after the fault
	cutText   bool          // closes in the middle of a message
	cutReply  bool          // closes in place of the reply to a message
	halfClose bool          // half-closes in place of the reply to a message
}

// refusal is the temporary failure of each protocol in place of a greeting.
var refusal = map[string]string{
	"smtp": "421 4.3.2 try again later\r\n",
	"imap": "* BYE [UNAVAILABLE] try again later\r\n",
	"pop3": "-ERR [SYS/TEMP] try again later\r\n",
}

// newMailServer starts the servers and writes their certificate authority to
// dir/ca.pem. The servers end with the test.
func newMailServer(t *testing.T, dir string, l *ledger, user func(token string) (string, bool)) *mailServer {
	t.Helper()
	authority, err := ca.New()
	must(t, err)
	certificate, err := authority.Issue("localhost")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "ca.pem"), authority.PEM(), 0o644))
	m := &mailServer{
		ledger: l,
		user:   user,
		tls:    &tls.Config{Certificates: []tls.Certificate{certificate}},
		ports:  map[string]int{"smtp": unusedPort(t), "imap": unusedPort(t), "pop3": unusedPort(t)},
		listen: make(map[string]net.Listener),
	}
	m.serve = map[string]func(net.Listener){"smtp": m.serveSMTP(), "imap": m.serveIMAP(), "pop3": m.servePOP3}
	m.open(t)
	t.Cleanup(m.close)
	return m
}

// open starts to accept connections, always at the same ports.
func (m *mailServer) open(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for protocol, serve := range m.serve {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", m.ports[protocol]))
		must(t, err)
		m.listen[protocol] = ln
		go serve(&listener{ln, m, protocol})
	}
}

// close stops to accept connections. Existing connections go on.
func (m *mailServer) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ln := range m.listen {
		ln.Close()
	}
}

// during makes the servers misbehave until over is called.
func (m *mailServer) during(f mailFault) (over func()) {
	f.over = make(chan struct{})
	m.fault.Store(&f)
	return func() {
		m.fault.Store(nil)
		close(f.over)
	}
}

// present returns the present fault.
func (m *mailServer) present() mailFault {
	if f := m.fault.Load(); f != nil {
		return *f
	}
	return mailFault{}
}

// A listener accepts TLS connections, each as a conn.
type listener struct {
	net.Listener
	server   *mailServer
	protocol string
}

func (ln *listener) Accept() (net.Conn, error) {
	for {
		raw, err := ln.Listener.Accept()
		if err != nil {
			return nil, err
		}
		inside := tls.Server(raw, ln.server.tls)
		if !ln.server.present().unready {
			return &conn{Conn: inside, server: ln.server}, nil
		}
		go func() {
			inside.SetDeadline(time.Now().Add(10 * time.Second))
			inside.Write([]byte(refusal[ln.protocol]))
			inside.Close()
		}()
	}
}

// A conn is a server's end of a TLS connection. Each Write is a whole reply.
type conn struct {
	*tls.Conn
	server *mailServer

	mu      sync.Mutex
	pending *delivery // stored, and not acknowledged yet
}

// mostDelay bounds the random delay of replies to messages and of answers to refreshes.
// With a delay, a signal often arrives while a reply is due.
const mostDelay = 300 * time.Millisecond

// store records a message. The next positive reply acknowledges it.
func (c *conn) store(message string) error {
	d := c.server.ledger.store(message)
	if d == nil {
		return errors.New("not a message that was sent")
	}
	time.Sleep(rand.N(mostDelay))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = d
	return nil
}

// acknowledges returns the delivery that a reply acknowledges, or nil.
func (c *conn) acknowledges(reply string) *delivery {
	if !strings.HasPrefix(reply, "250 ") && !strings.Contains(reply, " OK [APPENDUID ") {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.pending
	c.pending = nil
	return d
}

func (c *conn) Write(reply []byte) (int, error) {
	f := c.server.present()
	if f.delay > 0 {
		time.Sleep(f.delay)
	}
	if f.hang {
		<-f.over
	}
	d := c.acknowledges(string(reply))
	switch {
	case d != nil && f.cutReply:
		c.Close()
		return 0, net.ErrClosed
	case d != nil && f.halfClose:
		c.CloseWrite()
		<-f.over // the server closes the connection afterwards
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Write(reply)
	if d != nil && err == nil {
		c.server.ledger.acknowledged(d)
	}
	return n, err
}
