package proxy

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A pipedRelay is one between two pipes, whose other ends a test has.
type pipedRelay struct {
	client, upstream net.Conn
	hangUp           func() // half-closes the client's end
	stop             context.CancelFunc
	kill             func()        // ends the session's life
	ended            chan string   // why
	took             time.Duration // until it ended
}

// startPiped starts a relay in virtual time.
func startPiped(t *testing.T, idle time.Duration) *pipedRelay {
	c1, c2 := net.Pipe()
	u1, u2 := net.Pipe()
	stopping, stop := context.WithCancel(t.Context())
	client, upstream := &socket{Conn: c2}, &socket{Conn: u2}
	life, kill := context.WithCancel(context.Background())
	p := &pipedRelay{
		client: c1, upstream: u1, stop: stop, hangUp: client.hangUp,
		kill:  kill,
		ended: make(chan string, 1),
	}
	r := &relay{
		client: stream(t, client), upstream: stream(t, upstream),
		idle: idle, stopping: stopping, sent: func(int) {}, received: func(int) {},
	}
	start := time.Now()
	go func() {
		why, err := r.run(life)
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

// A socket is a pipe that behaves as one: its peer can say that it sends nothing
// more, and who closes it is told so.
type socket struct {
	net.Conn
	hungUp, closed atomic.Bool
}

func (s *socket) hangUp() {
	s.hungUp.Store(true)
	s.SetReadDeadline(time.Unix(1, 0))
}

func (s *socket) Close() error {
	s.closed.Store(true)
	return s.Conn.Close()
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil && s.hungUp.Load() {
		err = io.EOF
	}
	return n, s.told(err)
}

func (s *socket) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	return n, s.told(err)
}

func (s *socket) told(err error) error {
	if err != nil && s.closed.Load() {
		return net.ErrClosed
	}
	return err
}

func stream(t testing.TB, c net.Conn) *wire.Stream {
	s, err := wire.New(c, time.Minute).Stream()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pass sends text at one end, and waits for it at the other.
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
		startPiped(t, 31*time.Minute).wants(t, "nothing moved for 31m0s", 31*time.Minute)
	})
}

func TestRelayIdleForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 0)
		time.Sleep(1000 * time.Hour)
		pass(t, p.client, p.upstream, "still here")
		p.kill()
		p.wants(t, "xoauthd did not wait any longer", 1000*time.Hour)
	})
}

// Movement in either direction renews the time of both.
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
		p.wants(t, "nothing moved for 31m0s", 211*time.Minute)
	})
}

// What one side does not take is no movement.
func TestRelayIdleBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		time.Sleep(time.Minute)
		go io.WriteString(p.upstream, "nobody reads this")
		p.wants(t, "nothing moved for 31m0s", 32*time.Minute)
	})
}

// When the client has left, the upstream may talk as long as it does, but not be
// silent for long.
func TestRelayLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		time.Sleep(time.Minute)
		p.hangUp()
		for range 3 {
			time.Sleep(9 * time.Second)
			pass(t, p.upstream, p.client, "221 bye\r\n")
		}
		p.wants(t, "client left", 97*time.Second)
	})
}

// The client has half-closed and is owed an answer: that may take its time, and
// then there is not much more to wait for.
func TestRelayOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		pass(t, p.client, p.upstream, "message\r\n.\r\nQUIT\r\n")
		synctest.Wait()
		p.hangUp()
		time.Sleep(9 * time.Minute)
		pass(t, p.upstream, p.client, "250 taken\r\n221 bye\r\n")
		p.wants(t, "client left", 9*time.Minute+linger)
	})
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		pass(t, p.client, p.upstream, "message\r\n.\r\nQUIT\r\n")
		synctest.Wait()
		p.hangUp()
		p.wants(t, "client left", owing)
	})
}

// An upstream that takes nothing more ends the relay, and the end of the session
// does so at once: neither the client nor a drain waits for a write for ever.
func TestRelayStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		go io.WriteString(p.client, "nobody takes this")
		p.wants(t, "upstream took nothing for 5m0s", stall)
	})
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		go io.WriteString(p.client, "nobody takes this")
		time.AfterFunc(10*time.Second, p.kill)
		p.wants(t, "xoauthd did not wait any longer", 10*time.Second)
	})
}

// The upstream hangs up, and the client does not: it gets some time to.
func TestRelayUpstreamLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPiped(t, 31*time.Minute)
		p.upstream.Close()
		p.wants(t, "upstream left", linger)
	})
}

func TestRelayStop(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(t *testing.T, p *pipedRelay) // up to the stop
		why    string
		took   time.Duration
	}{
		{"nothing has ever moved", func(t *testing.T, p *pipedRelay) {}, "xoauthd stops", quiet},
		{"long quiet", func(t *testing.T, p *pipedRelay) {
			time.Sleep(time.Minute)
		}, "xoauthd stops", time.Minute},
		{"answered a moment ago", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "a NOOP\r\n")
			time.Sleep(time.Minute)
			pass(t, p.upstream, p.client, "a OK\r\n")
			synctest.Wait()
		}, "xoauthd stops", time.Minute + quiet},
		{"an answer is owed, and does not come", func(t *testing.T, p *pipedRelay) {
			pass(t, p.upstream, p.client, "354 go ahead\r\n")
			time.Sleep(time.Minute)
			pass(t, p.client, p.upstream, "message\r\n.\r\n")
			time.AfterFunc(10*time.Second, p.kill)
		}, "xoauthd did not wait any longer", 70 * time.Second},
		{"an answer is owed, and comes", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "message\r\n.\r\n")
			time.AfterFunc(5*time.Second, func() { pass(t, p.upstream, p.client, "250 taken\r\n") })
		}, "xoauthd stops", 6 * time.Second},
		{"the client has not yet taken all", func(t *testing.T, p *pipedRelay) {
			go io.WriteString(p.upstream, "* 1 FETCH")
			time.AfterFunc(5*time.Second, func() { io.ReadFull(p.client, make([]byte, 9)) })
		}, "xoauthd stops", 6 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := startPiped(t, 31*time.Minute)
				test.before(t, p)
				p.stop()
				p.wants(t, test.why, test.took)
			})
		})
	}
}

// A mistake in one pump ends the relay, and nothing else.
func TestRelayPanics(t *testing.T) {
	for _, up := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c1, c2 := net.Pipe()
			u1, u2 := net.Pipe()
			for _, c := range []net.Conn{c1, c2, u1, u2} {
				defer c.Close()
			}
			mistake := func(int) { panic("a mistake") }
			r := &relay{client: stream(t, c2), upstream: stream(t, u2), stopping: t.Context(), sent: mistake, received: mistake}
			ended := make(chan error)
			go func() {
				err := guard(func() error { _, err := r.run(t.Context()); return err })
				c2.Close()
				u2.Close()
				ended <- err
			}()
			if up {
				pass(t, c1, u1, "x")
			} else {
				pass(t, u1, c1, "x")
			}
			if err := <-ended; failure(err).Result != Internal || !strings.Contains(err.Error(), "panic: a mistake") {
				t.Error(err)
			}
		})
	}
}
