package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// What a peer has sent is seen, in the clear and inside TLS, without waiting; and it
// is still there for the next read.
func TestHasUnread(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		a, b := tcp(t)
		testHasUnread(t, New(a, 5*time.Second), b)
	})
	t.Run("TLS", func(t *testing.T) {
		server, client := ends(t)
		a, b := tcp(t)
		c := New(a, 5*time.Second)
		peer := tls.Server(b, server)
		shaken := make(chan error, 1)
		go func() { shaken <- peer.Handshake() }()
		if err := errors.Join(c.StartTLS(client), <-shaken); err != nil {
			t.Fatal(err)
		}
		testHasUnread(t, c, peer)
	})
}

func testHasUnread(t *testing.T, c *Conn, peer net.Conn) {
	if c.HasUnread() { // the tickets of TLS are nothing to read
		t.Error("something is unread before anything was sent")
	}
	io.WriteString(peer, "one\r\ntwo\r\n")
	waitUnread(t, c)
	for _, want := range []string{"one", "two"} {
		if !c.HasUnread() {
			t.Errorf("%s is not seen", want)
		}
		if line, err := c.ReadLine(); line != want || err != nil {
			t.Errorf("%q, %v", line, err)
		}
	}
	if c.HasUnread() {
		t.Error("something is unread after all was read")
	}
	peer.Close()
	if _, err := c.ReadLine(); err != io.EOF {
		t.Error(err)
	}
	if c.HasUnread() {
		t.Error("an end is unread")
	}
}

// waitUnread waits until something is unread.
func waitUnread(t *testing.T, c *Conn) {
	t.Helper()
	for begun := time.Now(); !c.HasUnread(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > 5*time.Second {
			t.Fatal("what was sent is not seen")
		}
	}
}
