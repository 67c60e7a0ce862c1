package wire

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

func TestWatchDisconnect(t *testing.T) {
	for _, test := range []struct {
		name          string
		does          func(c *Conn, peer net.Conn) // during the watch
		reset, closed bool
	}{
		{"the peer waits", func(*Conn, net.Conn) {}, false, false},
		{"the peer closes", func(_ *Conn, peer net.Conn) { peer.Close() }, false, true},
		{"the connection is lost", func(c *Conn, _ net.Conn) { c.Close() }, true, false},
		{"the peer sends", func(_ *Conn, peer net.Conn) { io.WriteString(peer, "b\r\n") }, false, false},
		{"the peer sends and closes", func(_ *Conn, peer net.Conn) { io.WriteString(peer, "b\r\n"); peer.Close() }, false, false},
		{"Interrupt", func(c *Conn, _ net.Conn) { c.Interrupt() }, false, false},
		{"the read times out", func(*Conn, net.Conn) { time.Sleep(time.Minute) }, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, peer := pipe(t, "a\r\n")
				if line, err := c.ReadLine(); line != "a" || err != nil {
					t.Fatal(line, err)
				}
				reset, closed := false, false
				stop := c.WatchDisconnect(func() { reset = true }, func() { closed = true })
				test.does(c, peer)
				synctest.Wait()
				stop()
				if reset != test.reset || closed != test.closed {
					t.Errorf("reset: %v, closed: %v", reset, closed)
				}
			})
		})
	}
}

// A dialogue inside TLS continues after WatchDisconnect.
func TestWatchDisconnectTLS(t *testing.T) {
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue("localhost")
	if err != nil {
		t.Fatal(err)
	}
	ours, peer := tcp(t)
	client := tls.Client(peer, &tls.Config{ServerName: "localhost", RootCAs: authority.Pool()})
	c := New(ours, 20*time.Second)
	go client.Handshake()
	if err := c.BeginTLS(&tls.Config{Certificates: []tls.Certificate{certificate}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b"} {
		disconnected := make(chan struct{})
		c.WatchDisconnect(func() { close(disconnected) }, func() { close(disconnected) })()
		go io.WriteString(client, want+"\r\n")
		if line, err := c.ReadLine(); line != want || err != nil {
			t.Error(line, err)
		}
		select {
		case <-disconnected:
			t.Error("disconnected")
		default:
		}
	}
}
