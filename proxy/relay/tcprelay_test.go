package relay

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A tcpRelay is a relay between two TCP connections, that of the client plain, that of the
// upstream with TLS. The test has their other ends.
type tcpRelay struct {
	client   *net.TCPConn
	upstream *tls.Conn
	socket   *net.TCPConn // below upstream

	start  func()
	writes atomic.Int64 // to the client
	ended  chan string  // why
}

// startTCP starts a relay with TLS of a version. wrap wraps the upstream's connection.
func startTCP(t testing.TB, version uint16, wrap func(net.Conn) net.Conn) *tcpRelay {
	t.Helper()
	r := newTCP(t, version, wrap)
	go r.start()
	return r
}

func newTCP(t testing.TB, version uint16, wrap func(net.Conn) net.Conn) *tcpRelay {
	t.Helper()
	c1, c2 := connect(t)
	u1, u2 := connect(t)
	r := &tcpRelay{client: c1, socket: u1, ended: make(chan string, 1)}
	client, upstream := wire.New(c2, 10*time.Second), wire.New(u2, 10*time.Second)
	r.upstream = secure(t, wrap(u1), version, upstream.StartTLS)
	clientStream, err := client.Stream()
	if err != nil {
		t.Fatal(err)
	}
	upstreamStream, err := upstream.Stream()
	if err != nil {
		t.Fatal(err)
	}
	r.start = func() {
		x := &Relay{
			Client: clientStream, Upstream: upstreamStream, IdleTimeout: time.Minute, Tracker: answered{}, Stopping: context.Background(),
			Sent: func(int) {}, Received: func(int) { r.writes.Add(1) },
		}
		why, err := x.Run(context.Background())
		if err != nil {
			t.Error(err)
		}
		client.Close()
		upstream.Close()
		r.ended <- why
	}
	t.Cleanup(func() {
		c1.Close()
		u1.Close()
		c2.Close()
		u2.Close()
	})
	return r
}

// An answered is a Tracker whose upstream owes no reply.
type answered struct{ untracked }

func (answered) Owed() (owed, known bool) { return false, true }

func asIs(c net.Conn) net.Conn { return c }

// connect returns both ends of a TCP connection.
func connect(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

// secure starts TLS at both ends of a connection. ours is the handshake of the client side.
func secure(t testing.TB, server net.Conn, version uint16, ours func(*tls.Config) error) *tls.Conn {
	t.Helper()
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue("mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	s := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{certificate}, MaxVersion: version})
	shaken := make(chan error, 1)
	go func() { shaken <- s.Handshake() }()
	if err := ours(&tls.Config{ServerName: "mail.example.com", RootCAs: authority.Pool()}); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return s
}
