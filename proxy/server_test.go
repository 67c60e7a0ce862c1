package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/internal/testing/fakeconn"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// A scriptedListener accepts the connections and errors that a test puts in.
type scriptedListener struct {
	next   chan any
	closed chan struct{}
	once   sync.Once
}

func newScriptedListener() *scriptedListener {
	return &scriptedListener{next: make(chan any, 100), closed: make(chan struct{})}
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	select {
	case next := <-l.next:
		if err, ok := next.(error); ok {
			return nil, err
		}
		return next.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *scriptedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *scriptedListener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143}
}

// newTestServer returns a server with a scripted account, and its log.
func newTestServer(account *scriptedAccount) (*Server, *bytes.Buffer) {
	log := new(bytes.Buffer)
	return &Server{
		Accounts: account,
		Limits:   Limits{LogIn: time.Minute, Step: 20 * time.Second, Drain: 10 * time.Second},
		Log:      slog.New(slog.NewTextHandler(log, nil)),
		Metrics:  NewMetrics(prometheus.NewRegistry()),
	}, log
}

func TestServeFails(t *testing.T) {
	s, _ := newTestServer(&scriptedAccount{})
	ln := newScriptedListener()
	ln.Close()
	if err := s.Serve(t.Context(), ln, &Listener{Protocol: "imap"}); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	ln = newScriptedListener()
	if err := s.Serve(t.Context(), ln, &Listener{Protocol: "gopher"}); err == nil || !strings.Contains(err.Error(), "gopher") {
		t.Error(err)
	}
	<-ln.closed
}

// A relayedSession is a server with one session that is logged in.
type relayedSession struct {
	*Server
	log              *bytes.Buffer
	client, upstream net.Conn
	stop             context.CancelFunc
	served           chan error
	start            time.Time // when it was stopped
}

// startRelayed starts a server, and a session that logs in.
func startRelayed(t *testing.T, drain time.Duration) *relayedSession {
	p := newPlayer(t, "imap", slog.LevelInfo)
	p.server.Limits.Drain = drain
	ctx, stop := context.WithCancel(t.Context())
	ln := newScriptedListener()
	h := &relayedSession{Server: p.server, log: p.log, served: make(chan error, 1)}
	h.stop = func() { h.start = time.Now(); stop() }
	go func() { h.served <- p.server.Serve(ctx, ln, p.listener) }()
	a, b := net.Pipe()
	ln.next <- &fakeconn.Socket{Conn: b}
	p.c, p.done = newPeer(a), make(chan struct{})
	for _, line := range []string{
		"C< * OK ...",
		"C> a1 LOGIN joe@example.com s3cret",
		"U+",
		"U> * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello",
		"U< A1 AUTHENTICATE ...",
		"U> A1 OK [CAPABILITY IMAP4rev1] logged in",
		"C< a1 OK ...",
	} {
		if err := p.play(line); err != nil {
			t.Fatal(line, err)
		}
	}
	h.client, h.upstream = p.c.conn, p.u.conn
	for _, c := range []net.Conn{h.client, h.upstream} {
		c.SetDeadline(time.Time{})
	}
	t.Cleanup(func() { p.c.conn.Close(); p.u.conn.Close() })
	return h
}

// forward sends text at one end of a session, and waits for it at the other.
func forward(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	go io.WriteString(from, text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); string(got) != text || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestServeStops(t *testing.T) {
	for _, test := range []struct {
		name  string
		drain time.Duration
		owes  bool // the upstream owes a reply
		took  time.Duration
		ended string
	}{
		{"quiet", 10 * time.Second, false, 0, "closed at shutdown"},
		{"a reply is owed", 10 * time.Second, true, 10 * time.Second, "closed at shutdown"},
		{"no drain time", 0, true, 0, "closed at shutdown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := startRelayed(t, test.drain)
				if test.owes {
					forward(t, h.client, h.upstream, "a2 APPEND\r\n")
				}
				time.Sleep(time.Minute)
				h.stop()
				if err := <-h.served; err != nil {
					t.Error(err)
				}
				if d := time.Since(h.start); d != test.took {
					t.Errorf("took %v", d)
				}
				if !strings.Contains(h.log.String(), test.ended) {
					t.Error(h.log)
				}
				for _, c := range []net.Conn{h.client, h.upstream} {
					if _, err := c.Read(make([]byte, 1)); err != io.EOF {
						t.Errorf("the connection is open: %v", err)
					}
				}
			})
		})
	}
}

// A panickingAccount panics in Token.
type panickingAccount struct{ scriptedAccount }

func (a *panickingAccount) LogIn(ctx context.Context, attempt Attempt) (Login, error) {
	login, err := a.scriptedAccount.LogIn(ctx, attempt)
	login.Account = a
	return login, err
}

func (a *panickingAccount) Token(context.Context, string) (string, error) {
	var none []string
	return none[len(a.tokens)], nil
}

// TestPanic checks that a panic ends only its session, and that the log has its origin.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := &panickingAccount{scriptedAccount{user: "joe@example.com", password: "s3cret", upstream: &Upstream{}}}
		s, log := newTestServer(nil)
		s.Accounts = account
		ln := newScriptedListener()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- s.Serve(ctx, ln, &Listener{Protocol: "imap"}) }()

		var clients []*peer
		for range 2 {
			a, b := net.Pipe()
			ln.next <- b
			c := newPeer(a)
			if err := c.expect("* OK ..."); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		clients[0].send("a1 LOGIN joe@example.com s3cret\r\n")
		if err := clients[0].expectEnd(); err != nil {
			t.Error(err)
		}
		clients[1].send("a1 NOOP\r\n")
		if err := clients[1].expect("a1 OK ..."); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n, slots := s.conns.Len(), s.semaphore.Len(); n != 1 || slots != 0 {
			t.Errorf("there are %d connections, slots of %d limits", n, slots)
		}
		for _, want := range []string{"result=internal", `error="panic: runtime error: index out of range [0] with length 0"`,
			"(*panickingAccount).Token(", "(*session).logIn("} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %s in\n%s", want, log)
			}
		}
		for _, c := range clients {
			c.close()
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// TestEndSessions checks that EndSessions ends and counts only the sessions of the account,
// when the upstream owes no reply or the drain time has passed.
func TestEndSessions(t *testing.T) {
	for _, test := range []struct {
		name  string
		owes  bool // the upstream owes a reply
		leave bool // the context of EndSessions is canceled at once
		ended int
		took  time.Duration // until the session has ended
	}{
		{"quiet", false, false, 1, 0},
		{"a reply is owed", true, false, 1, 10 * time.Second},
		{"canceled", true, true, 0, 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := startRelayed(t, 10*time.Second)
				if test.owes {
					forward(t, h.client, h.upstream, "a2 APPEND\r\n")
				}
				time.Sleep(time.Minute)
				if n := h.EndSessions(t.Context(), "bob@example.com"); n != 0 {
					t.Errorf("%d sessions of another account have ended", n)
				}
				start, left := time.Now(), make(chan time.Duration, 1)
				go func() {
					h.client.Read(make([]byte, 1)) // BYE, or the end
					h.client.Close()
					left <- time.Since(start)
				}()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.leave {
					cancel()
				}
				if n := h.EndSessions(ctx, "joe@example.com"); n != test.ended {
					t.Errorf("%d sessions have ended", n)
				}
				if d := <-left; d != test.took {
					t.Errorf("the session went on for %v", d)
				}
				synctest.Wait()
				if !strings.Contains(h.log.String(), `"ended":"grant revoked"`) || len(h.accountSessions.byName) != 0 {
					t.Error(h.log)
				}
				h.stop()
				if err := <-h.served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
