package proxy

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// relay copies octets between the client and the upstream, unread and unchanged,
// until one side leaves. From here on xoauthd has nothing to say to either, but
// to a client that begins with another login.
func (s *session) relay(ctx context.Context, k *link) error {
	client, err := s.client.Stream()
	if err != nil {
		return Fail(NoLogin, fmt.Errorf("telling of the login: %w", err))
	}
	upstream, err := k.conn.Stream()
	if err != nil {
		return k.upstream.Down(err)
	}
	r := relay{
		client:   client,
		upstream: upstream,
		idle:     s.Limits.Idle,
		stopping: s.stopping,
		again:    s.protocol.again,
		sent:     s.record.sent,
		received: s.record.received,
	}
	s.record.ended, err = r.run(ctx)
	return err
}

// A relay is two pumps.
type relay struct {
	client, upstream *wire.Stream
	idle             time.Duration                     // without movement, until it ends; 0 is for ever
	stopping         context.Context                   // when done, it is to end at a good moment
	again            func(line string) (answer string) // see refuse; nil when the client has said something else
	sent, received   func(n int)                       // told of octets to the upstream, and to the client

	tide *tide
}

// run returns, in words, what ended the relay. A client that hangs up half-closes
// the upstream, which may finish while it still talks; an upstream that hangs up
// ends the session, once the client has got all of it. When ctx is done, it ends
// at once, even in the middle of a write. The error is a panic.
func (r *relay) run(ctx context.Context) (ended string, err error) {
	r.tide = newTide(r.idle, r.abort)
	defer context.AfterFunc(ctx, r.abort)()
	defer context.AfterFunc(r.stopping, r.tide.ebb)()

	sent := make(chan error, 1)
	go func() {
		err := guard(r.send)
		if err != nil {
			r.abort()
		}
		sent <- err
	}()
	if r.receive() {
		defer time.AfterFunc(linger, r.abort).Stop()
	} else {
		r.abort()
	}
	err = <-sent
	return r.tide.stop(), err
}

// abort makes both pumps end.
func (r *relay) abort() {
	r.client.Abort()
	r.upstream.Abort()
}

// send pumps to the upstream until that is over.
func (r *relay) send() error {
	read, write := r.pump(r.upstream, r.client, r.sent)
	switch {
	case write != nil:
		r.tide.because("upstream gone", write)
		// What the client still sends must be read: data that nobody reads makes
		// the system reset the connection, and the client would lose the end of
		// what it was sent.
		discard(r.client)
	case read == io.EOF:
		r.tide.because("client left", nil)
		r.upstream.CloseWrite()
		r.tide.leave()
	default:
		r.tide.because("client gone", read)
		r.abort()
	}
	return nil
}

// receive pumps to the client until that is over. It reports whether the client
// is still there.
func (r *relay) receive() bool {
	read, write := r.pump(r.client, r.upstream, r.received)
	switch {
	case write != nil:
		r.tide.because("client gone", write)
		return false
	case read == io.EOF:
		r.tide.because("upstream left", nil)
	default:
		r.tide.because("upstream gone", read)
	}
	r.client.CloseWrite()
	return true
}

// pump copies from src to dst until it cannot read the one, or not write the
// other. It owns a buffer only while that has something in it.
func (r *relay) pump(dst, src *wire.Stream, count func(n int)) (read, write error) {
	for {
		b, err := src.Receive()
		if err != nil {
			return err, nil
		}
		octets := b.Octets()
		if src == r.client && r.again != nil {
			if octets = r.refuse(octets); len(octets) == 0 {
				b.Return()
				continue // the upstream owes no answer
			}
		}
		r.tide.taken(src == r.client)
		n, err := dst.Write(octets)
		b.Return()
		r.tide.given(src == r.client)
		count(n)
		if err != nil {
			return nil, err
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
