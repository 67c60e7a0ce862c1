package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDialsEarly checks that a session connects to the upstream before the login only for
// clients of this machine, or if the extensions are not known, and not after a recent failure.
func TestDialsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for from, want := range map[string]bool{"127.0.0.1": true, "": true, "192.0.2.1": false} {
			s := preAuthSession(from)
			u := &Upstream{}
			s.server, s.listener, s.protocol = new(Server), &Listener{Upstreams: []*Upstream{u}}, protocols["smtp"]
			if !s.dialsEarly() {
				t.Errorf("%q: no connection to an unknown upstream", from)
			}
			s.server.extensions.recordFailure(u)
			if s.dialsEarly() {
				t.Errorf("%q: a connection right after a failure", from)
			}
			time.Sleep(failurePause)
			if !s.dialsEarly() {
				t.Errorf("%q: no connection after the pause", from)
			}
			s.server.extensions.recordFailure(u)
			s.server.extensions.store(u, nil)
			if got := s.dialsEarly(); got != want {
				t.Errorf("%q: connects: %v", from, got)
			}
		}
	})
}

// An smtpClient is a client of a server.
type smtpClient struct {
	conn net.Conn
	in   *bufio.Reader
}

// newSMTPClient connects a client to a session of s, which ends with the test.
func newSMTPClient(t *testing.T, s *Server, sessions *sync.WaitGroup) *smtpClient {
	t.Helper()
	a, b := net.Pipe()
	l := &Listener{Protocol: "smtp", Upstreams: []*Upstream{s.Accounts.(*scriptedAccount).upstream}}
	sessions.Go(func() { s.accept(context.Background(), context.Background(), b, l, s.Limits.Sessions)() })
	c := &smtpClient{a, bufio.NewReader(a)}
	c.reply(t, "220")
	return c
}

// say sends a line, expects a reply with code, and returns the time until the reply.
func (c *smtpClient) say(t *testing.T, line, code string) time.Duration {
	t.Helper()
	begun := time.Now()
	io.WriteString(c.conn, line+"\r\n")
	c.reply(t, code)
	return time.Since(begun)
}

func (c *smtpClient) reply(t *testing.T, code string) {
	t.Helper()
	for {
		line, err := c.in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, code) {
			t.Fatalf("%q, %v; want %s", line, err, code)
		}
		if !strings.HasPrefix(line, code+"-") {
			return
		}
	}
}

// An upstream that does not answer costs 3 seconds at EHLO and 10 in all, and nothing at the
// EHLO of the next client.
func TestBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestServer(&scriptedAccount{user: "joe@example.com", password: "s3cret", upstream: &Upstream{Host: "mail.example.com"}, tokens: []string{"t0ken"}})
		s.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
		}
		var sessions sync.WaitGroup
		first := newSMTPClient(t, s, &sessions)
		if d := first.say(t, "EHLO monitor", "250"); d != earlyWait {
			t.Errorf("EHLO took %v", d)
		}
		if d := first.say(t, "AUTH PLAIN AGpvZUBleGFtcGxlLmNvbQBzM2NyZXQ=", "454"); d != dialTime-earlyWait {
			t.Errorf("AUTH took %v", d)
		}
		first.conn.Close()

		second := newSMTPClient(t, s, &sessions)
		if d := second.say(t, "EHLO monitor", "250"); d != 0 {
			t.Errorf("the second EHLO took %v", d)
		}
		if d := second.say(t, "AUTH PLAIN AGpvZUBleGFtcGxlLmNvbQBzM2NyZXQ=", "454"); d != dialTime {
			t.Errorf("the second AUTH took %v", d)
		}
		second.conn.Close()
		sessions.Wait()
		if n := s.earlyLimit.n.Load(); n != 0 {
			t.Errorf("%d early connections are counted", n)
		}
	})
}

// Any number of clients that send EHLO and leave causes at most ten connections to the
// provider in ten seconds. All receive a reply. HELO causes no connection.
func TestEarlyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &Upstream{Host: "mail.example.com", TLS: &tls.Config{ServerName: "mail.example.com"}}
		s, _ := newTestServer(&scriptedAccount{upstream: upstream})
		s.extensions.store(upstream, []string{"SIZE 1000"})
		var dialled, open, most atomic.Int32
		s.Dial = func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			dialled.Add(1)
			if n := open.Add(1); n > most.Load() {
				most.Store(n)
			}
			go func() { // accepts, without TLS
				io.Copy(io.Discard, b)
				b.Close()
				open.Add(-1)
			}()
			return a, nil
		}
		var sessions sync.WaitGroup
		var waiting []*smtpClient
		for range 50 { // concurrently
			waiting = append(waiting, newSMTPClient(t, s, &sessions))
		}
		for _, c := range waiting {
			go io.WriteString(c.conn, "EHLO x\r\n")
		}
		for _, c := range waiting {
			c.reply(t, "250")
			c.conn.Close()
		}
		sessions.Wait()
		if most.Load() != maxEarly || dialled.Load() != maxEarly {
			t.Errorf("%d connections, %d at once", dialled.Load(), most.Load())
		}

		time.Sleep(earlyPause) // then one after the other
		dialled.Store(0)
		for begun := time.Now(); time.Since(begun) < 2*earlyPause; time.Sleep(10 * time.Millisecond) {
			c := newSMTPClient(t, s, &sessions)
			c.say(t, "HELO x", "250")
			c.say(t, "EHLO x", "250")
			c.conn.Close()
		}
		sessions.Wait()
		if n := dialled.Load(); n > 3*maxEarly {
			t.Errorf("%d connections in %v", n, 2*earlyPause)
		}
	})
}

// A panic of the dial function ends only the early connection.
func TestEarlyPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestServer(&scriptedAccount{upstream: &Upstream{Host: "mail.example.com"}})
		s.Dial = func(context.Context, string, string) (net.Conn, error) { panic("a mistake") }
		var sessions sync.WaitGroup
		c := newSMTPClient(t, s, &sessions)
		c.say(t, "EHLO x", "250")
		c.say(t, "QUIT", "221")
		c.conn.Close()
		sessions.Wait()
		time.Sleep(earlyPause)
		synctest.Wait()
		if n := s.earlyLimit.n.Load(); n != 0 {
			t.Errorf("%d early connections are counted", n)
		}
	})
}
