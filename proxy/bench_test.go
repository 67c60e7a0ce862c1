package proxy

import (
	"context"
	"io"
	"net"
	"testing"
)

// BenchmarkLogin measures a session over loopback, from the connection to LOGOUT.
func BenchmarkLogin(b *testing.B) {
	mail := newMailServer(b)
	defer mail.close()
	s, log := newTestServer(mail.account())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, ln, &Listener{Protocol: "imap"}) }()
	for b.Loop() {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		io.WriteString(c, "a1 LOGIN joe@example.com s3cret\r\na2 LOGOUT\r\n")
		if said, err := io.ReadAll(c); err != nil || len(said) < 100 {
			b.Fatalf("%q, %v\n%s", said, err, log)
		}
		c.Close()
	}
	stop()
	if err := <-served; err != nil {
		b.Error(err)
	}
}
