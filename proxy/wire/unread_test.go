package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// HasUnread sees sent data without waiting, in plain text and inside TLS, and leaves
// it for the next read.
func TestHasUnread(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		a, b := tcp(t)
		testHasUnread(t, New(a, 5*time.Second), b)
	})
	t.Run("TLS", func(t *testing.T) {
		server, client := tlsConfigs(t)
		a, b := tcp(t)
		c := New(a, 5*time.Second)
		peer := tls.Server(b, server)
		handshake := make(chan error, 1)
		go func() { handshake <- peer.Handshake() }()
		if err := errors.Join(c.StartTLS(client), <-handshake); err != nil {
			t.Fatal(err)
		}
		testHasUnread(t, c, peer)
	})
}

func testHasUnread(t *testing.T, c *Conn, peer net.Conn) {
	if c.HasUnread() { // TLS session tickets are not data
		t.Error("unread before anything was sent")
	}
	io.WriteString(peer, "one\r\ntwo\r\n")
	waitUnread(t, c)
	for _, want := range []string{"one", "two"} {
		if !c.HasUnread() {
			t.Errorf("%s is not unread", want)
		}
		if line, err := c.ReadLine(); line != want || err != nil {
			t.Errorf("%q, %v", line, err)
		}
	}
	if c.HasUnread() {
		t.Error("unread after everything was read")
	}
	peer.Close()
	if _, err := c.ReadLine(); err != io.EOF {
		t.Error(err)
	}
	if c.HasUnread() {
		t.Error("the end of the stream is unread")
	}
}

// waitUnread waits until c has unread data.
func waitUnread(t *testing.T, c *Conn) {
	t.Helper()
	for start := time.Now(); !c.HasUnread(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatal("the sent data does not become unread")
		}
	}
}
