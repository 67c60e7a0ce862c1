package relay

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/internal/panics"
	"github.com/xoauthd/xoauthd/internal/testing/fakeconn"
	imapdialogue "github.com/xoauthd/xoauthd/proxy/imap"
	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A pipedRelay is a relay between two pipes. The test has their other ends.
type pipedRelay struct {
	client, upstream net.Conn
	hangUp           func()         // half-closes the client's end
	halfClosed       chan time.Time // when the upstream's end was half-closed
	stop             context.CancelFunc
	kill             func()        // ends the session's life
	ended            chan string   // why
	took             time.Duration // until it ended
}

// startPiped starts a relay in virtual time.
func startPiped(t *testing.T, idle time.Duration) *pipedRelay {
	return startTracked(t, idle, untracked{})
}

// An untracked is a Tracker that does not know whether the upstream owes a reply.
type untracked struct{}

func (untracked) FromClient(p []byte) ([]byte, error) { return p, nil }
func (untracked) Held() []byte                        { return nil }
func (untracked) FromUpstream([]byte)                 {}
func (untracked) Owed() (owed, known bool)            { return false, false }
func (untracked) Unfinished() bool                    { return false }

func startTracked(t *testing.T, idle time.Duration, tracker Tracker) *pipedRelay {
	c1, c2 := net.Pipe()
	u1, u2 := net.Pipe()
	stopping, stop := context.WithCancel(t.Context())
	client, upstream := &fakeconn.Socket{Conn: c2}, &fakeconn.Socket{Conn: u2, HalfClosed: make(chan time.Time, 1)}
	life, kill := context.WithCancel(context.Background())
	p := &pipedRelay{
		client: c1, upstream: u1, stop: stop, hangUp: client.HangUp,
		kill:  kill,
		ended: make(chan string, 1),

		halfClosed: upstream.HalfClosed,
	}
	r := &Relay{
		Client: stream(t, client), Upstream: stream(t, upstream),
		IdleTimeout: idle, Tracker: tracker, Stopping: stopping, Sent: func(int) {}, Received: func(int) {},
	}
	start := time.Now()
	go func() {
		why, err := r.Run(life)
		if err != nil {
			t.Error(err)
		}
		p.took = time.Since(start)
		kill()
		client.Close()
		upstream.Close()
		p.ended <- why
	}()
	t.Cleanup(func() { stop(); c1.Close(); u1.Close() })
	return p
}

func stream(t testing.TB, c net.Conn) *wire.Stream {
	s, err := wire.New(c, time.Minute).Stream()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pass writes text at one end, and waits for it at the other.
func pass(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	go io.WriteString(from, text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); string(got) != text || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
}

func (p *pipedRelay) wants(t *testing.T, why string, took time.Duration) {
	t.Helper()
	if got := <-p.ended; got != why || p.took != took {
		t.Errorf("ended after %v: %s; want %v: %s", p.took, got, took, why)
	}
}

func TestRelayIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		startPiped(t, 31*time.Minute).wants(t, "idle timeout (31m0s)", 31*time.Minute)
	})
}

func TestRelayWithoutIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 0)
		time.Sleep(1000 * time.Hour)
		pass(t, p.client, p.upstream, "still here")
		p.kill()
		p.wants(t, closedAtShutdown, 1000*time.Hour)
	})
}

// TestRelayIdleRenewed checks that bytes in either direction restart the idle timeout.
func TestRelayIdleRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		for range 3 {
			time.Sleep(30 * time.Minute)
			pass(t, p.client, p.upstream, "DONE\r\n")
		}
		for range 3 {
			time.Sleep(30 * time.Minute)
			pass(t, p.upstream, p.client, "* 1 EXISTS\r\n")
		}
		p.wants(t, "idle timeout (31m0s)", 211*time.Minute)
	})
}

// TestRelayIdleBlocked checks that bytes that are not read do not restart the idle timeout.
func TestRelayIdleBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		time.Sleep(time.Minute)
		go io.WriteString(p.upstream, "unread")
		p.wants(t, "idle timeout (31m0s)", 32*time.Minute)
	})
}

// TestRelayHalfClosed checks that a half-close of the client is passed on when the upstream
// owes no reply. If that is not known, it is when the upstream has been silent for a second,
// or for longer if the client was the last to send something.
func TestRelayHalfClosed(t *testing.T) {
	const pipelined = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 3 LAST\r\nabcQUIT\r\n"
	for _, test := range []struct {
		name    string
		tracker Tracker
		before  string                            // sent by the client before it closes
		after   func(t *testing.T, p *pipedRelay) // after it has closed
		passed  time.Duration                     // when the half-close is passed on, after it came
		took    time.Duration                     // until the relay ends; 0 is at once
	}{
		{"no command", untracked{}, "", nil, 0, replyTimeout},
		{"the upstream replies", untracked{}, "a NOOP\r\nb APPEND\r\n", func(t *testing.T, p *pipedRelay) {
			time.Sleep(15 * time.Second)
			pass(t, p.upstream, p.client, "a OK\r\n")
		}, 15*time.Second + silentAfter, 15*time.Second + replyTimeout},
		{"the upstream sends more replies", untracked{}, "a FETCH\r\n", func(t *testing.T, p *pipedRelay) {
			for range 4 {
				time.Sleep(silentAfter - 1)
				pass(t, p.upstream, p.client, "* 1 FETCH\r\n")
			}
		}, 5*silentAfter - 4, 4*silentAfter - 4 + replyTimeout},
		{"the upstream waits for the rest of a command", untracked{}, "a APPEND {8}", nil, halfCloseDelay, replyTimeout},
		{"IMAP: the last of several replies comes late", new(imapdialogue.Tracker), "a NOOP\r\nb APPEND x {1+}\r\ny\r\n", func(t *testing.T, p *pipedRelay) {
			pass(t, p.upstream, p.client, "a OK\r\n")
			time.Sleep(9 * time.Minute)
			pass(t, p.upstream, p.client, "b OK\r\n")
		}, 9 * time.Minute, 9*time.Minute + closeTimeout},
		{"POP3: the last of several replies comes late", new(pop3dialogue.Tracker), "DELE 1\r\nQUIT\r\n", func(t *testing.T, p *pipedRelay) {
			pass(t, p.upstream, p.client, "+OK\r\n")
			time.Sleep(9 * time.Minute)
			pass(t, p.upstream, p.client, "+OK\r\n")
		}, 9 * time.Minute, 9*time.Minute + closeTimeout},
		{"SMTP: no command", new(smtpdialogue.Tracker), "", nil, 0, closeTimeout},
		{"SMTP: the last of several replies comes late", new(smtpdialogue.Tracker), pipelined, func(t *testing.T, p *pipedRelay) {
			pass(t, p.upstream, p.client, "250 ok\r\n250 ok\r\n")
			time.Sleep(9 * time.Minute)
			pass(t, p.upstream, p.client, "250 taken\r\n")
			time.Sleep(time.Minute)
			pass(t, p.upstream, p.client, "221 bye\r\n")
		}, 10 * time.Minute, 10*time.Minute + closeTimeout},
		{"SMTP: the last reply does not come", new(smtpdialogue.Tracker), pipelined, func(t *testing.T, p *pipedRelay) {
			pass(t, p.upstream, p.client, "250 ok\r\n250 ok\r\n")
		}, replyTimeout, replyTimeout},
		{"SMTP: the client closes within a message", new(smtpdialogue.Tracker), "BDAT 20 LAST\r\nabc", func(t *testing.T, p *pipedRelay) {
			time.Sleep(time.Second)
			pass(t, p.upstream, p.client, "503 no\r\n")
		}, time.Second, time.Second + closeTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := startTracked(t, 31*time.Minute, test.tracker)
				if test.before != "" {
					pass(t, p.client, p.upstream, test.before)
				}
				synctest.Wait()
				time.Sleep(time.Minute)
				closed := time.Now()
				p.hangUp()
				if test.after != nil {
					test.after(t, p)
				}
				if passed := (<-p.halfClosed).Sub(closed); passed != test.passed {
					t.Errorf("passed on after %v", passed)
				}
				p.wants(t, "client closed", time.Minute+test.took)
			})
		})
	}
}

// TestRelayHalfClosedUpstreamCloses checks that an upstream that closes ends the relay of a
// half-closed client at once.
func TestRelayHalfClosedUpstreamCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startTracked(t, 31*time.Minute, new(smtpdialogue.Tracker))
		pass(t, p.client, p.upstream, "QUIT\r\n")
		p.hangUp()
		time.Sleep(time.Minute)
		p.upstream.Close()
		p.wants(t, "client closed", time.Minute)
	})
}

// TestRelayStuck checks that a blocked write to the upstream ends by its timeout, and at once
// by the end of the session.
func TestRelayStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		go io.WriteString(p.client, "unread")
		p.wants(t, "upstream write timeout (5m0s)", writeTimeout)
	})
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		go io.WriteString(p.client, "unread")
		time.AfterFunc(10*time.Second, p.kill)
		p.wants(t, closedAtShutdown, 10*time.Second)
	})
}

// TestRelayUpstreamLeaves checks that the client has some time to close after the upstream.
func TestRelayUpstreamLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		p.upstream.Close()
		p.wants(t, "upstream closed", closeTimeout)
	})
}

// TestRelayPanics checks that a panic in either pump ends the relay with an error.
func TestRelayPanics(t *testing.T) {
	for _, up := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c1, c2 := net.Pipe()
			u1, u2 := net.Pipe()
			for _, c := range []net.Conn{c1, c2, u1, u2} {
				defer c.Close()
			}
			mistake := func(int) { panic("a mistake") }
			r := &Relay{Client: stream(t, c2), Upstream: stream(t, u2), Tracker: untracked{}, Stopping: t.Context(), Sent: mistake, Received: mistake}
			ended := make(chan error)
			go func() {
				err := panics.Catch(func() error { _, err := r.Run(t.Context()); return err })
				c2.Close()
				u2.Close()
				ended <- err
			}()
			if up {
				pass(t, c1, u1, "x")
			} else {
				pass(t, u1, c1, "x")
			}
			if err := <-ended; err == nil || err.Error() != "panic: a mistake" {
				t.Error(err)
			}
		})
	}
}
