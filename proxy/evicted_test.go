package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A slowAccount checks a password until the time limit, and refuses it.
type slowAccount struct{ scriptedAccount }

func (*slowAccount) LogIn(ctx context.Context, _ Attempt) (Login, error) {
	<-ctx.Done()
	return Login{}, Fail(BadCredentials, errors.New("wrong password"))
}

// TestEvictedEnds checks that an evicted session ends at once, whatever it waits for, and
// that its client does not learn whether the password is right.
func TestEvictedEnds(t *testing.T) {
	waits := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, test := range []struct{ name, protocol, says, hears string }{
		{"during the password check", "imap", "a LOGIN joe@example.com wrong\r\n", "* BYE [LIMIT]"},
		{"while it connects to the upstream", "smtp", "EHLO x\r\n", "421 4.3.2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, log := newTestServer(nil)
				s.Accounts, s.Dial, s.Limits.Sessions = &slowAccount{}, waits, 1
				l := &Listener{Protocol: test.protocol, Upstreams: []*Upstream{{Provider: "example"}}}
				var heard []byte
				first := make(chan struct{})
				start := time.Now()
				go func() {
					defer close(first)
					serveOne(s, l, "192.0.2.1:1", func(c net.Conn) {
						hear(t, c, "")
						go io.WriteString(c, test.says)
						heard, _ = io.ReadAll(c)
					})
				}()
				synctest.Wait()
				serveOne(s, l, "192.0.2.1:1", func(c net.Conn) {
					hear(t, c, "")
					<-first
				})
				if d := time.Since(start); d != 0 {
					t.Errorf("took %v", d)
				}
				if lines := strings.Split(string(heard), "\r\n"); !strings.HasPrefix(lines[len(lines)-2], test.hears) ||
					strings.Contains(string(heard), "AUTHENTICATIONFAILED") {
					t.Errorf("heard %q", heard)
				}
				if !strings.Contains(log.String(), "result=too_many_sessions") {
					t.Error(log)
				}
			})
		})
	}
}

// serveOne runs a session of a client from an address. The client closes after say.
func serveOne(s *Server, l *Listener, from string, say func(net.Conn)) {
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.accept(context.Background(), context.Background(), addressed{b, tcpAddr(from)}, l, s.Limits.Sessions)()
	}()
	say(a)
	a.Close()
	<-done
}

// TestClientClosesAtPassword checks that a client that half-closes during the password check
// receives the reply, at the usual time, and that a reset ends the session.
func TestClientClosesAtPassword(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error // of the session's reads
		took time.Duration
	}{
		{"half-closes", io.EOF, 28 * time.Second},
		{"resets", syscall.ECONNRESET, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, log := newTestServer(nil)
				s.Accounts = &slowAccount{}
				start := time.Now()
				a, b := net.Pipe()
				ours := &failingReads{Conn: b, closed: make(chan struct{}), err: test.err}
				done := make(chan struct{})
				go func() {
					defer close(done)
					s.accept(t.Context(), t.Context(), ours, &Listener{Protocol: "imap"}, s.Limits.Sessions)()
				}()
				hear(t, a, "* OK")
				io.WriteString(a, "a LOGIN joe@example.com wrong\r\n")
				synctest.Wait()
				close(ours.closed)
				if test.err == io.EOF {
					hear(t, a, "a NO [AUTHENTICATIONFAILED]")
				}
				hearNothing(t, a)
				<-done
				if d := time.Since(start); d != test.took || !strings.Contains(log.String(), "result=bad_credentials") {
					t.Errorf("took %v: %s", d, log)
				}
			})
		})
	}
}

// failingReads is a connection whose reads fail once it is closed.
type failingReads struct {
	net.Conn
	closed chan struct{}
	err    error
}

func (c *failingReads) Read(p []byte) (int, error) {
	got := make(chan struct{})
	defer close(got)
	go func() {
		select {
		case <-c.closed:
			c.Conn.SetReadDeadline(time.Unix(1, 0))
		case <-got:
		}
	}()
	n, err := c.Conn.Read(p)
	select {
	case <-c.closed:
		return 0, c.err
	default:
		return n, err
	}
}
