package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// receiveAll receives until n octets are there, or an error.
func receiveAll(s *Stream, n int) (got []byte, err error) {
	for len(got) < n {
		b, err := s.Receive()
		if err != nil {
			return got, err
		}
		got = append(got, b.Octets()...)
		b.Return()
	}
	return got, nil
}

// Where the system cannot be asked what is there, all arrives as well.
func TestStreamHolding(t *testing.T) {
	c, peer := pipe(t, "")
	s, err := c.Stream()
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		peer.Write(nil) // which a read sees
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)%5000)
			peer.Write(rest[:n])
			rest = rest[n:]
		}
		peer.Close()
	}()
	got, err := receiveAll(s, len(sent)+1)
	if !bytes.Equal(got, sent) || err != io.EOF {
		t.Errorf("%d octets of %d, %v", len(got), len(sent), err)
	}
	if _, err := s.Receive(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

// What was sent ahead, and not yet read, comes first.
func TestStreamAhead(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(*testing.T) (*Conn, net.Conn)
	}{
		{"pipe", func(t *testing.T) (*Conn, net.Conn) { return pipe(t, "") }},
		{"TCP", func(t *testing.T) (*Conn, net.Conn) {
			ours, peer := tcp(t)
			return New(ours, time.Minute), peer
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, peer := test.make(t)
			go io.WriteString(peer, "a LOGIN\r\nahead")
			if _, err := c.ReadLine(); err != nil {
				t.Fatal(err)
			}
			s, err := c.Stream()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := receiveAll(s, 5); string(got) != "ahead" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			go io.WriteString(peer, "later")
			if got, err := receiveAll(s, 5); string(got) != "later" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// What was not yet sent is sent before the stream, or there is none.
func TestStreamFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer ours.Close()
		defer peer.Close()
		c := New(ours, time.Second)
		c.Printf("a OK")
		if _, err := c.Stream(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nobody has read it: %v", err)
		}
	})
}

// Abort wakes a receive and a write, whatever they wait for.
func TestStreamAbort(t *testing.T) {
	ours, _ := tcp(t)
	s, err := New(ours, time.Minute).Stream()
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan error, 2)
	go func() { _, err := s.Receive(); woken <- err }()
	go func() {
		for {
			if _, err := s.Write(make([]byte, 1<<20)); err != nil {
				woken <- err
				return
			}
		}
	}()
	s.Abort()
	for range 2 {
		if err := <-woken; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	}
}
