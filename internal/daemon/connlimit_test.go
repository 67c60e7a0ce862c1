package daemon

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

func TestWhichConnectionIsEvicted(t *testing.T) {
	for _, test := range []struct {
		name  string
		conns string // their sources, one after the other; with a "+" if a handler runs
		want  int    // which of them is evicted by the last
	}{
		{"the oldest, if all are of one source", "a a a a", 0},
		{"the oldest, if each has another source", "a b c d", 0},
		{"the oldest of the source with the most", "a b b c", 1},
		{"the oldest of the source with the most, including the new one", "a b c c", 2},
		{"one without a handler before one with", "a+ a a a", 1},
		{"of a source whose handlers use the whole limit", "a+ a+ a+ b", 0},
		{"the new one, if the handlers of its source use the whole limit", "a+ a+ a+ a", 3},
		{"one without a handler, where two sources have the same number", "a+ a+ b b", 2},
		{"one with a handler, if its source has the most", "a+ a+ b c", 0},
	} {
		l := newConnLimit(3, newEvictions().WithLabelValues("web"))
		var conns []*limitedConn
		var victim *limitedConn
		used := time.Now()
		for text := range strings.FieldsSeq(test.conns) {
			used = used.Add(time.Hour)
			c := &limitedConn{limit: l, source: sourceOf(text[0]), used: used, busy: strings.HasSuffix(text, "+")}
			if v := l.add(c); v != nil {
				victim = v
			}
			conns = append(conns, c)
		}
		for i, c := range conns {
			if (c == victim) != (i == test.want) {
				t.Errorf("%s: %d is evicted: %v", test.name, i, c == victim)
			}
		}
		if len(l.conns) != 3 {
			t.Errorf("%s: %d are counted", test.name, len(l.conns))
		}
	}
}

// sourceOf is the source of an address that b tells from others.
func sourceOf(b byte) peercred.Source {
	return peercred.SourceOfAddr(netip.AddrFrom4([4]byte{192, 0, 2, b}))
}

// TestConnLimit checks that the connections of a server are limited, that running requests
// are finished, and that closed connections are not counted.
func TestConnLimit(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limit := newConnLimit(4, newEvictions().WithLabelValues("web"))
	begun, finish := make(chan bool), make(chan bool)
	e := newEndpoint([]net.Listener{limitedListener{ln, limit}}, slog.New(slog.DiscardHandler))
	e.handle(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- true
			<-finish
		}
		io.WriteString(w, "answer")
	}))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.serve(ctx) }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	ask := func(c net.Conn, path string) string {
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err.Error()
		}
		body, _ := io.ReadAll(answer.Body)
		return string(body)
	}

	answered := make(chan string)
	go func(c net.Conn) { answered <- ask(c, "/slow") }(dial())
	<-begun
	var idle []net.Conn
	for range 20 {
		c := dial()
		if got := ask(c, "/"); got != "answer" {
			t.Fatalf("answered %q", got)
		}
		idle = append(idle, c)
	}
	if n := testutil.ToFloat64(limit.evicted); n != 17 {
		t.Errorf("%v connections were evicted", n)
	}
	for i, c := range idle {
		if got := ask(c, "/"); (got == "answer") != (i >= 17) {
			t.Errorf("connection %d is answered %q", i, got)
		}
	}
	finish <- true
	if got := <-answered; got != "answer" {
		t.Errorf("the slow request is answered %q", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	limit.mu.Lock()
	defer limit.mu.Unlock()
	if len(limit.conns) != 0 {
		t.Errorf("%d connections stay counted", len(limit.conns))
	}
}

// TestServing checks that a connection is found below its wrappers.
func TestServing(t *testing.T) {
	c, _ := net.Pipe()
	lc := newConnLimit(1, newEvictions().WithLabelValues("web")).admit(c)
	for _, conn := range []net.Conn{lc, &userConn{Conn: lc}} {
		r := (&http.Request{}).WithContext(withConn(t.Context(), conn))
		done := serving(r)
		if !lc.busy {
			t.Errorf("%T: no handler runs", conn)
		}
		if done(); lc.busy {
			t.Errorf("%T: a handler runs", conn)
		}
	}
	serving(&http.Request{})() // of a connection that is not counted
}
