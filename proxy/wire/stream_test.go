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

// receiveAll receives n octets, or until an error.
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

// A connection without nonblocking reads receives all data.
func TestStreamBlocking(t *testing.T) {
	c, peer := pipe(t, "")
	s, err := c.Stream()
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		peer.Write(nil) // makes a read return without data
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

// A stream first returns the input that arrived during the dialogue.
func TestStreamBuffered(t *testing.T) {
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

// Stream sends the written lines, or fails.
func TestStreamFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer ours.Close()
		defer peer.Close()
		c := New(ours, time.Second)
		c.Printf("a OK")
		if _, err := c.Stream(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the line was not read: %v", err)
		}
	})
}

// Abort makes a blocked receive and a blocked write fail.
func TestStreamAbort(t *testing.T) {
	ours, _ := tcp(t)
	s, err := New(ours, time.Minute).Stream()
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	go func() { _, err := s.Receive(); errs <- err }()
	go func() {
		for {
			if _, err := s.Write(make([]byte, 1<<20)); err != nil {
				errs <- err
				return
			}
		}
	}()
	s.Abort()
	for range 2 {
		if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	}
}
