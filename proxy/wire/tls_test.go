package wire

import (
	"bufio"
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

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// tlsConfigs returns the configurations of a server and of a client that trusts it.
func tlsConfigs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue("localhost")
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}},
		&tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"}
}

// runAlongside runs f in a goroutine; the test ends after f returns.
func runAlongside(t *testing.T, f func()) {
	var running sync.WaitGroup
	running.Go(f)
	t.Cleanup(running.Wait)
}

// A stream continues where the dialogue inside TLS ended, and each end can close its
// write side first.
func TestBeginTLS(t *testing.T) {
	server, client := tlsConfigs(t)
	ours, peer := tcp(t)
	c := New(ours, time.Minute)
	var traced []string
	c.Trace = func(_ bool, line string) { traced = append(traced, line) }
	runAlongside(t, func() {
		inside := tls.Client(peer, client)
		io.WriteString(inside, "a LOGIN\r\nahead")
		inside.CloseWrite()
		received, err := io.ReadAll(inside)
		if string(received) != "OK\r\n"+strings.Repeat("x", 1<<20) || err != nil {
			t.Errorf("received %d octets, %v", len(received), err)
		}
		peer.Close()
	})
	if begins, err := c.DetectTLS(time.Minute); !begins || err != nil {
		t.Fatal(begins, err)
	}
	if c.in.Buffered() == 0 || c.Secure() || c.TLS() != nil {
		t.Error("DetectTLS has begun TLS")
	}
	if err := c.BeginTLS(server); err != nil {
		t.Fatal(err)
	}
	if state := c.TLS(); !c.Secure() || state == nil || state.ServerName != "localhost" {
		t.Errorf("inside %+v", state)
	}
	if want := `(TLS 1.3 begins, with TLS_AES_128_GCM_SHA256, for "localhost")`; len(traced) != 1 || traced[0] != want {
		t.Errorf("traced %q", traced)
	}
	if line, err := c.ReadLine(); line != "a LOGIN" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	c.Printf("OK")
	s, err := c.Stream()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := receiveAll(s, 100); string(got) != "ahead" || err != io.EOF {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		t.Error(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Error(err)
	}
	s.Close()
}

// A stream inside TLS receives records that arrive in pieces.
func TestStreamTLS(t *testing.T) {
	server, client := tlsConfigs(t)
	ours, peer := tcp(t)
	sent := bytes.Repeat([]byte("0123456789"), 50_000)
	runAlongside(t, func() {
		inside := tls.Client(pieces{peer}, client)
		inside.Write(sent)
		peer.Close()
	})
	c := New(ours, time.Minute)
	if err := c.BeginTLS(server); err != nil {
		t.Fatal(err)
	}
	s, err := c.Stream()
	if err != nil {
		t.Fatal(err)
	}
	got, err := receiveAll(s, len(sent)+1)
	if !bytes.Equal(got, sent) || err != io.EOF {
		t.Errorf("%d octets of %d, %v", len(got), len(sent), err)
	}
}

// pieces is a connection that writes at most 1000 octets at a time.
type pieces struct{ net.Conn }

func (c pieces) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = c.Conn.Write(p[n:min(n+1000, len(p))])
		n += m
	}
	return n, err
}

func TestAcceptTLS(t *testing.T) {
	server, client := tlsConfigs(t)
	c, peer := pipe(t, "STARTTLS\r\n")
	c.OfferTLS(server, true)
	if !c.OffersTLS() || !c.NeedsTLS() {
		t.Error("TLS is not offered or not required")
	}
	if _, err := c.ReadLine(); err != nil {
		t.Fatal(err)
	}
	runAlongside(t, func() {
		if line, err := bufio.NewReaderSize(peer, 16).ReadString('\n'); line != "go ahead\r\n" {
			t.Errorf("%q, %v", line, err)
		}
		if err := tls.Client(peer, client).Handshake(); err != nil {
			t.Error(err)
		}
		io.Copy(io.Discard, peer)
	})
	if err := c.AcceptTLS("go ahead"); err != nil {
		t.Error(err)
	}
	if c.OffersTLS() || c.NeedsTLS() {
		t.Error("TLS is offered or required inside TLS")
	}
	c.Close()
}

// If data is injected, TLS does not begin, and the Conn can still reply.
func TestAcceptTLSInjected(t *testing.T) {
	conn := &fakeConn{in: strings.NewReader("STARTTLS\r\nx")}
	c := New(conn, time.Second)
	if _, err := c.ReadLine(); err != nil {
		t.Fatal(err)
	}
	if err := c.AcceptTLS("go ahead"); err != ErrInjected || len(c.out) > 0 || c.Secure() {
		t.Errorf("%v; %q is sent", err, c.out)
	}
	if c.Printf("bye"); string(c.out) != "bye\r\n" {
		t.Errorf("%q is sent", c.out)
	}
}

// After a failed handshake the Conn sends nothing: the peer would not understand it.
func TestMutedAfterTLS(t *testing.T) {
	server, _ := tlsConfigs(t)
	ours, peer := tcp(t)
	io.WriteString(peer, "a LOGIN joe s3cret\r\n")
	c := New(ours, time.Minute)
	c.Trace = func(_ bool, line string) { t.Errorf("traced %q", line) }
	var failed *TLSError
	if err := c.BeginTLS(server); !errors.As(err, &failed) {
		t.Fatal(err)
	}
	c.Printf("* BYE")
	peer.CloseWrite()
	c.Linger()
	c.Close()
	if received, err := io.ReadAll(peer); len(received) > 0 || err != nil {
		t.Errorf("received %q, %v", received, err)
	}
}

// The size and the duration of a handshake are limited.
func TestTLSLimits(t *testing.T) {
	hello := "\x01\x00\xff\xff" + strings.Repeat("x", 1<<18) // longer than MaxOctets
	var records strings.Builder
	for len(hello) > 0 {
		n := min(len(hello), 1000)
		records.WriteString("\x16\x03\x01" + string([]byte{byte(n >> 8), byte(n)}) + hello[:n])
		hello = hello[n:]
	}
	in := strings.NewReader(records.String())
	c := New(&fakeConn{in: in}, time.Second)
	if err := c.BeginTLS(new(tls.Config)); !errors.Is(err, ErrTooMuch) {
		t.Error(err)
	}
	if read := int(in.Size()) - in.Len(); read > MaxOctets {
		t.Errorf("%d octets are read", read)
	}
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer ours.Close()
		start := time.Now()
		runAlongside(t, func() {
			for _, octet := range records.String() {
				if _, err := peer.Write([]byte{byte(octet)}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		c := New(ours, 20*time.Second)
		c.SetDeadline(start.Add(10 * time.Second))
		err := c.BeginTLS(new(tls.Config))
		if d := time.Since(start); d != 10*time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v after %v", err, d)
		}
		peer.Close()
	})
}

func TestDetectTLS(t *testing.T) {
	for _, test := range []struct {
		name, sent string
		after      time.Duration
		begins     bool
		err        error
		takes      time.Duration
	}{
		{"TLS", "\x16\x03", time.Second, true, nil, time.Second},
		{"a command", "EHLO", time.Second, false, nil, time.Second},
		{"silence", "", time.Hour, false, nil, 2 * time.Second},
		{"TLS too late", "\x16\x03", 3 * time.Second, false, nil, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				defer peer.Close()
				defer ours.Close()
				start := time.Now()
				timer := time.AfterFunc(test.after, func() { io.WriteString(peer, test.sent) })
				defer timer.Stop()
				c := New(ours, time.Minute)
				begins, err := c.DetectTLS(2 * time.Second)
				if d := time.Since(start); begins != test.begins || err != test.err || d != test.takes {
					t.Errorf("%v, %v after %v", begins, err, d)
				}
			})
		})
	}
	closed := New(&fakeConn{in: strings.NewReader("")}, time.Second)
	if _, err := closed.DetectTLS(time.Second); err != io.EOF {
		t.Error(err)
	}
}

// DetectTLS can be interrupted and obeys the deadline of the dialogue.
func TestDetectTLSInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer peer.Close()
		defer ours.Close()
		c := New(ours, time.Minute)
		c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.DetectTLS(2 * time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		c = New(ours, time.Minute)
		time.AfterFunc(time.Second, c.Interrupt)
		if _, err := c.DetectTLS(2 * time.Second); err != ErrInterrupted {
			t.Error(err)
		}
		if err := c.BeginTLS(new(tls.Config)); err != ErrInterrupted {
			t.Error(err)
		}
	})
}
