package proxy

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// linger is how long, after one side has hung up, the other may take: the client
// until it does so too, the upstream from one sign of life to the next. An
// answer to QUIT may be on its way.
const linger = 10 * time.Second

// relay copies octets between the client and the upstream, unread and unchanged,
// until one side leaves. From here on xoauthd has nothing to say to either.
func (s *session) relay(k *link) error {
	client, err := s.client.Stream()
	if err != nil {
		return Fail(NoLogin, fmt.Errorf("telling of the login: %w", err))
	}
	upstream, err := k.conn.Stream()
	if err != nil {
		return k.down(err)
	}
	s.record.ended = relay(client, upstream, relayed{
		idle:     s.Limits.Idle,
		stopping: s.stopping,
		sent:     s.record.sent,
		received: s.record.received,
	})
	return nil
}

// relayed is what a relay is to heed and to tell.
type relayed struct {
	idle           time.Duration   // without movement, until it ends; 0 is for ever
	stopping       context.Context // when done, it is to end at a good moment
	sent, received func(n int)     // octets to the upstream, and to the client
}

// relay runs two pumps and returns, in words, what ended them. A client that
// hangs up half-closes the upstream, which may finish while it still talks; an
// upstream that hangs up ends the session, once the client has got all of it.
func relay(client, upstream *wire.Stream, r relayed) (ended string) {
	abort := func() {
		client.Abort()
		upstream.Abort()
	}
	t := newTide(r.idle, abort)
	defer t.stop()
	defer context.AfterFunc(r.stopping, t.ebb)()

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		err := pump(upstream, client, func(n int) { t.moved(true); r.sent(n) })
		if err == io.EOF {
			t.because("client left")
			upstream.CloseWrite()
			t.bound(linger)
			return
		}
		t.because("upstream gone: " + reason(err))
		// What the client still sends must be read: data that nobody reads makes
		// the system reset the connection, and the client would lose the end of
		// what it was sent.
		discard(client)
	}()

	err := pump(client, upstream, func(n int) { t.moved(false); r.received(n) })
	if err == io.EOF {
		t.because("upstream left")
		client.CloseWrite()
		defer time.AfterFunc(linger, abort).Stop()
	} else {
		t.because("client gone: " + reason(err))
		abort()
	}
	<-sent
	return t.why
}

// pump copies from src to dst until one of them ends. The error is io.EOF if
// that was src, in peace. It owns a buffer only while it has something in it.
func pump(dst, src *wire.Stream, moved func(n int)) error {
	for {
		b, err := src.Receive()
		if err != nil {
			return err
		}
		n, err := dst.Write(b.Octets())
		b.Return()
		moved(n)
		if err != nil {
			return err
		}
	}
}

// discard reads src to its end.
func discard(src *wire.Stream) {
	for {
		b, err := src.Receive()
		if err != nil {
			return
		}
		b.Return()
	}
}
