package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/proxy/limit"
)

// descriptors returns the number of open file descriptors.
func descriptors(t *testing.T) int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors cannot be counted here:", err)
	}
	return len(files)
}

// serveLoopback serves protocol on a loopback port until stop, which waits for the last
// session.
func serveLoopback(t *testing.T, s *Server, protocol string) (dial func() net.Conn, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, ln, &Listener{Protocol: protocol}) }()
	dial = func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return dial, func() {
		t.Helper()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// TestNothingIsLeft checks that no descriptor and no goroutine is left after sessions over TCP.
func TestNothingIsLeft(t *testing.T) {
	runSessions(t, "")   // so that lazily opened descriptors are counted before
	goleak.VerifyNone(t) // a goroutine that ends late closes its descriptor late
	before := descriptors(t)
	log := runSessions(t, "", "a LOGOUT\r\n", "a LOGIN joe@example.com wrong\r\n", "GET / HTTP/1.1\r\n\r\n",
		"a LOGIN {9999+}\r\nx", "a LOGIN joe@example.com s3cret\r\nb NOOP\r\n", "a LOGIN joe@example.com s3cret\r\nb LOGOUT\r\n")
	goleak.VerifyNone(t)
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
	if n := strings.Count(log, "result=ok"); n != 10 {
		t.Errorf("%d sessions were logged in:\n%s", n, log)
	}
}

// runSessions runs five clients for each text, and returns the log of the server.
func runSessions(t *testing.T, said ...string) string {
	mail := newMailServer(t)
	defer mail.close()
	s, log := newTestServer(mail.account())
	dial, stop := serveLoopback(t, s, "imap")
	var clients sync.WaitGroup
	for _, text := range slices.Repeat(said, 5) {
		c := dial()
		clients.Go(func() {
			c.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(c, text)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		})
	}
	clients.Wait()
	stop()
	if n := s.conns.Len(); n != 0 {
		t.Errorf("%d sessions are counted", n)
	}
	return log.String()
}

// TestPreAuthSessionsAreEvicted checks that at the session limit the oldest pre-auth session
// is evicted, with a reply, and that logged-in sessions stay.
func TestPreAuthSessionsAreEvicted(t *testing.T) {
	mail := newMailServer(t)
	defer mail.close()
	s, _ := newTestServer(mail.account())
	s.Limits.Sessions = 3
	dial, stop := serveLoopback(t, s, "imap")
	client := func() (net.Conn, *bufio.Reader) {
		c := dial()
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return c, bufio.NewReader(c)
	}
	hear := func(r *bufio.Reader, want string) {
		t.Helper()
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("%q, %v; want %s", line, err, want)
		}
	}
	var in []*bufio.Reader
	var conns []net.Conn
	for range 2 { // each after three silent clients
		var silent []*bufio.Reader
		for range 3 {
			_, r := client()
			hear(r, "* OK")
			silent = append(silent, r)
		}
		c, r := client()
		hear(r, "* OK")
		hear(silent[0], "* BYE [LIMIT]")
		io.WriteString(c, "a LOGIN joe@example.com s3cret\r\n")
		hear(r, "a OK")
		in, conns = append(in, r), append(conns, c)
	}
	for i, r := range in {
		io.WriteString(conns[i], "b NOOP\r\n")
		hear(r, "b OK")
	}
	for _, c := range conns {
		c.Close()
	}
	stop()
	if s.conns.Len() != 0 || s.semaphore.Len() != 0 {
		t.Errorf("left: %d connections, slots of %d limits", s.conns.Len(), s.semaphore.Len())
	}
}

// TestOneLoginDoesNotFillTheServer checks that sessions of one login that wait for a slot, or
// whose login at the upstream fails, can be evicted.
func TestOneLoginDoesNotFillTheServer(t *testing.T) {
	for name, most := range map[string]int{"waits": 1, "fails": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := newTestServer(&scriptedAccount{password: "s3cret", upstream: &Upstream{}, fails: Fail(ProviderDown, errors.New("scripted"))})
				s.Limits.Sessions, s.Limits.PerLogin, s.Limits.Queue = 3, most, time.Minute
				defer s.semaphore.Acquire(limit.Limit{Of: "login (no label) of account joe@example.com", Max: most}).Release()
				var sessions sync.WaitGroup
				var greeted []net.Conn
				for range 5 {
					a, b := net.Pipe()
					sessions.Go(func() { s.accept(t.Context(), t.Context(), b, &Listener{Protocol: "imap"}, s.Limits.Sessions)() })
					hear(t, a, "* OK")
					go io.Copy(io.Discard, a)
					io.WriteString(a, "a LOGIN joe@example.com s3cret\r\n")
					synctest.Wait()
					greeted = append(greeted, a)
				}
				for _, c := range greeted {
					c.Close()
				}
				sessions.Wait()
			})
		})
	}
}

// TestHostileClientsCostLittle measures the memory of clients that send an incomplete line.
func TestHostileClientsCostLittle(t *testing.T) {
	s, _ := newTestServer(&scriptedAccount{})
	dial, stop := serveLoopback(t, s, "smtp")
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before := heap()
	const n = 100
	line := bytes.Repeat([]byte("x"), 16<<10)
	for range n {
		c := dial()
		defer c.Close()
		io.ReadFull(c, make([]byte, 4)) // the session has begun
		if _, err := c.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if each := (heap() - before) / n; each > 64<<10 {
		t.Errorf("%d KiB for a hostile client", each>>10)
	}
	stop()
}

// TestLastWords checks that a client that is still sending receives the last reply.
func TestLastWords(t *testing.T) {
	s, _ := newTestServer(&scriptedAccount{})
	dial, stop := serveLoopback(t, s, "imap")
	c := dial()
	io.WriteString(c, "a1 APPEND INBOX {8388608+}\r\n")
	if _, err := c.Write(make([]byte, 8<<20)); err != nil {
		t.Errorf("sending: %v", err)
	}
	said, err := io.ReadAll(c)
	if !strings.Contains(string(said), "* BYE [CLIENTBUG]") || err != nil {
		t.Errorf("%q, %v", said, err)
	}
	c.Close()
	stop()
}

// A blockedHandler is a log that blocks.
type blockedHandler struct {
	slog.Handler
	until chan struct{}
}

func (h blockedHandler) Handle(context.Context, slog.Record) error { <-h.until; return nil }

// TestClosesBeforeLogging checks that a session that waits for the log holds no descriptor
// and is not counted.
func TestClosesBeforeLogging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newTestServer(&scriptedAccount{})
		until := make(chan struct{})
		s.Log = slog.New(blockedHandler{slog.NewTextHandler(log, nil), until})
		a, b := net.Pipe()
		var session sync.WaitGroup
		session.Go(func() { s.accept(t.Context(), t.Context(), b, &Listener{Protocol: "imap"}, s.Limits.Sessions)() })
		go io.WriteString(a, "GET / HTTP/1.1\r\n")
		a.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadAll(a); err != nil {
			t.Errorf("the connection is open: %v", err)
		}
		synctest.Wait()
		if s.conns.Len() != 0 {
			t.Error("the session is counted")
		}
		close(until)
		session.Wait()
	})
}
