package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/testing/children"
)

func TestMain(m *testing.M) {
	children.Supervise()
	goleak.VerifyTestMain(m)
}

// A fakeConn is a connection whose input is known in advance.
type fakeConn struct {
	net.Conn
	in   io.Reader
	from net.IP
}

func (c *fakeConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: c.from, Port: 1} }
func (c *fakeConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *fakeConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *fakeConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fakeConn) SetWriteDeadline(time.Time) error { return nil }

// pipe returns a Conn and its peer, which sends text.
func pipe(t *testing.T, text string) (*Conn, net.Conn) {
	ours, peer := net.Pipe()
	t.Cleanup(func() { ours.Close(); peer.Close() })
	go io.WriteString(peer, text)
	return New(ours, 20*time.Second), peer
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", MaxLine-2)
	for _, test := range []struct {
		name, sent string
		lines      []string
		err        error
	}{
		{"lines", "a\r\n\r\nb\r\n", []string{"a", "", "b"}, io.EOF},
		{"a bare CR is part of a line", "a\rb\r\r\n", []string{"a\rb\r"}, io.EOF},
		{"a bare LF", "a\r\nb\nc\r\n", []string{"a"}, ErrBareLF},
		{"LF alone", "\n", nil, ErrBareLF},
		{"the longest line", long + "\r\n", []string{long}, io.EOF},
		{"a line too long by one", "x" + long + "\r\n", nil, ErrLineTooLong},
		{"an endless line", strings.Repeat("x", 1<<20), nil, ErrLineTooLong},
		{"an end within a line", "a\r\nb", []string{"a"}, io.ErrUnexpectedEOF},
		{"the maximum number of lines", strings.Repeat("a\r\n", MaxLines), repeat("a", MaxLines), io.EOF},
		{"one line too many", strings.Repeat("a\r\n", MaxLines+1), repeat("a", MaxLines), ErrTooMuch},
		{"TLS", "\x16\x03\x01\x00\x05", nil, ErrTLS},
		{"an octet of TLS in a later line", "a\r\n\x16\r\n", []string{"a", "\x16"}, io.EOF},
		{"HTTP", "GET / HTTP/1.1\r\n", nil, ErrHTTP},
		{"HTTP with a bare LF", "GET / HTTP/1.0\n", nil, ErrHTTP},
		{"HTTP/2", "PRI * HTTP/2.0\r\n", nil, ErrHTTP},
		{"HTTP in a later line", "a\r\nGET / HTTP/1.1\r\n", []string{"a", "GET / HTTP/1.1"}, io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := New(&fakeConn{in: strings.NewReader(test.sent)}, time.Second)
			var lines []string
			for {
				line, err := c.ReadLine()
				if err != nil {
					if !errors.Is(err, test.err) || strings.Join(lines, "|") != strings.Join(test.lines, "|") {
						t.Errorf("%.100q, %v", lines, err)
					}
					return
				}
				lines = append(lines, line)
			}
		})
	}
}

func repeat(s string, n int) []string { return strings.Fields(strings.Repeat(s+" ", n)) }

func TestReadN(t *testing.T) {
	c, _ := pipe(t, "ab\r\ncd\r\n")
	if b, err := c.ReadN(6); string(b) != "ab\r\ncd" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if line, err := c.ReadLine(); line != "" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := c.ReadN(MaxOctets); !errors.Is(err, ErrTooMuch) {
		t.Error(err)
	}
}

func TestPrintf(t *testing.T) {
	c, peer := pipe(t, "")
	var traced []string
	c.Trace = func(sent bool, line string) { traced = append(traced, line) }
	c.Printf("a %s", "b\r\nc\x00d")
	c.PrintSecret("s3cret\n", "(hidden)")
	go c.Flush()
	got := make([]byte, 17)
	if _, err := io.ReadFull(peer, got); string(got) != "a b  c d\r\ns3cret " || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if len(traced) != 2 || traced[1] != "(hidden)" {
		t.Errorf("%q", traced)
	}
}

func TestRedact(t *testing.T) {
	c, _ := pipe(t, "")
	c.SetSecrets(redact.New("shared-s3cret-of-the-upstream"))
	c.AddSecret("s3cret")
	for _, test := range []struct{ text, want string }{
		{"what is s3cret, or c2VjcmV0?", "what is (hidden), or c2VjcmV0?"},
		{"", ""},
		{"PASS czNjcmV0", "PASS (hidden)"},
		{"it begins here: shared-s3", "it begins here: (hidden)"},
		{"cret-", "(hidden)"},
		{"of", "(hidden)"},
		{"-the-upstream and ends", "(hidden) and ends"},
		{"one\ntwo shared-s3cret-of-the-upstream", "one\ntwo (hidden)"},
		{"three", "three"},
	} {
		if got := c.Redact(test.text); got != test.want {
			t.Errorf("%q became %q, want %q", test.text, got, test.want)
		}
	}
}

func TestReadTimeout(t *testing.T) {
	for _, test := range []struct {
		name string
		end  time.Duration // of the dialogue, if not 0
		peer func(c net.Conn)
		want time.Duration
	}{
		{"no input", 0, func(net.Conn) {}, 20 * time.Second},
		{"no input until the deadline", 10 * time.Second, func(net.Conn) {}, 10 * time.Second},
		{"one octet at a time", 0, func(c net.Conn) {
			for {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 20 * time.Second},
		{"one line at a time", 50 * time.Second, func(c net.Conn) {
			for {
				if _, err := c.Write([]byte("x\r\n")); err != nil {
					return
				}
				time.Sleep(10 * time.Second)
			}
		}, 50 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				defer ours.Close()
				defer peer.Close()
				start := time.Now()
				c := New(ours, 20*time.Second)
				if test.end != 0 {
					c.SetDeadline(start.Add(test.end))
				}
				var sending sync.WaitGroup
				sending.Go(func() { test.peer(peer) })
				var err error
				for err == nil {
					_, err = c.ReadLine()
				}
				if d := time.Since(start); d != test.want || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v after %v", err, d)
				}
				peer.Close()
				sending.Wait()
			})
		})
	}
}

// A peer that does not read has the same timeout as one that does not write, and in
// addition the time for a final reply.
func TestWriteTimeout(t *testing.T) {
	for _, test := range []struct {
		name      string
		end, want time.Duration
	}{
		{"timeout", 0, 20 * time.Second},
		{"deadline, and a final reply", 3 * time.Second, 3*time.Second + finalWriteTimeout},
		{"after the deadline, a final reply", -time.Second, finalWriteTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				defer ours.Close()
				defer peer.Close()
				start := time.Now()
				c := New(ours, 20*time.Second)
				if test.end != 0 {
					c.SetDeadline(start.Add(test.end))
				}
				c.Printf("hello")
				_, err := c.ReadLine()
				if d := time.Since(start); d != test.want || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v after %v", err, d)
				}
				if err2 := c.Flush(); err2 != err {
					t.Errorf("then %v", err2)
				}
			})
		})
	}
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer ours.Close()
		defer peer.Close()
		c := New(ours, time.Minute)
		start := time.Now()
		time.AfterFunc(time.Second, c.Interrupt)
		for range 2 { // the current read, and all later ones
			if _, err := c.ReadLine(); !errors.Is(err, ErrInterrupted) {
				t.Error(err)
			}
		}
		if _, err := c.ReadN(1); !errors.Is(err, ErrInterrupted) {
			t.Error(err)
		}
		if err := c.StartTLS(new(tls.Config)); !errors.Is(err, ErrInterrupted) {
			t.Error(err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("after %v", d)
		}
		go io.Copy(io.Discard, peer)
		c.Printf("bye")
		if err := c.Flush(); err != nil {
			t.Errorf("the final reply cannot be sent: %v", err)
		}
	})
}

// Reads that begin after Interrupt do not wait, whenever it is called.
func TestInterruptRaces(t *testing.T) {
	ours, peer := net.Pipe()
	defer ours.Close()
	defer peer.Close()
	for range 2000 {
		c := New(ours, 10*time.Second)
		var both sync.WaitGroup
		both.Go(c.Interrupt)
		start := time.Now()
		if _, err := c.ReadLine(); !errors.Is(err, ErrInterrupted) || time.Since(start) > 5*time.Second {
			t.Fatal(err, time.Since(start))
		}
		both.Wait()
	}
}

// An Interrupt after the dialogue does not affect the stream.
func TestInterruptAfterDialogue(t *testing.T) {
	for range 200 {
		c, peer := pipe(t, "a\r\nrest")
		if _, err := c.ReadLine(); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(c.Interrupt)
		s, err := c.Stream()
		if err != nil {
			t.Fatal(err)
		}
		both.Wait()
		c.Interrupt()
		if b, err := s.Receive(); err != nil || string(b.Octets()) != "rest" {
			t.Fatal(err)
		}
		go io.WriteString(peer, "more")
		if b, err := s.Receive(); err != nil || string(b.Octets()) != "more" {
			t.Fatal(err)
		}
	}
}

// tcp returns both ends of a TCP connection.
func tcp(t testing.TB) (ours, peer *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	o, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close(); p.Close() })
	return o.(*net.TCPConn), p.(*net.TCPConn)
}

// A client that is still sending when its session ends reads the final reply.
func TestLinger(t *testing.T) {
	ours, peer := tcp(t)
	sent := make(chan error, 1)
	go func() {
		_, err := peer.Write(bytes.Repeat([]byte("x"), 8<<20))
		peer.CloseWrite()
		sent <- err
	}()
	c := New(ours, 10*time.Second)
	if _, err := c.ReadLine(); !errors.Is(err, ErrLineTooLong) {
		t.Fatal(err)
	}
	c.Printf("line too long")
	c.Linger()
	c.Close()
	if err := <-sent; err != nil {
		t.Errorf("sending: %v", err)
	}
	if reply, err := io.ReadAll(peer); string(reply) != "line too long\r\n" || err != nil {
		t.Errorf("read %q, %v", reply, err)
	}
}

// Linger returns after its timeout even if the client keeps sending.
func TestLingerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer peer.Close()
		var sending sync.WaitGroup
		sending.Go(func() {
			for {
				if _, err := peer.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		defer sending.Wait()
		start := time.Now()
		c := New(ours, time.Minute)
		c.Linger()
		c.Close()
		if d := time.Since(start); d != lingerTimeout {
			t.Errorf("after %v", d)
		}
	})
}
