package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A tracker follows the commands and replies after a login as far as the relay needs.
type tracker interface {
	// FromClient returns the bytes to forward for p, which differ only for a second login.
	// An error ends the relay.
	FromClient(p []byte) ([]byte, error)
	// Held returns the part of a line that FromClient holds back.
	Held() []byte
	// FromUpstream follows the replies.
	FromUpstream(p []byte)
	// Owed reports whether the upstream owes a reply, and whether that is known.
	Owed() (owed, known bool)
	// Unfinished reports whether the client is, or may be, within a message.
	Unfinished() bool
}

// relay copies bytes between the client and the upstream, unchanged but for a
// second login, until one side closes.
func (s *session) relay(ctx context.Context, front server, k *link) error {
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
		tracker:  s.protocol.tracker(),
		timeout:  s.Limits.Idle,
		stopping: s.stopping,
		sent:     s.record.sent,
		received: s.record.received,
	}
	if s.protocol.farewell {
		e := failure(Fail(Revoked, errRevoked))
		r.farewell = func() { front.Bye(s.protocol.status(answers[e.Result]), e.text()) }
	}
	s.record.ended, err = r.run(ctx)
	return err
}

// A relay copies bytes in both directions, with a pump for each.
type relay struct {
	client, upstream *wire.Stream
	tracker          tracker
	timeout          time.Duration   // idle timeout; 0 is none
	stopping         context.Context // done when the relay must drain
	sent, received   func(n int)     // count bytes to the upstream and to the client
	farewell         func()          // tells the client that the grant was revoked; nil if the protocol has no reply for that

	idle    *idleTimer
	parting atomic.Bool // the relay ends because the grant was revoked
}

// run returns why the relay ended. When the client closes, run half-closes the upstream as
// soon as it owes no reply. When the upstream closes, run ends after the client has received
// everything. When ctx is done, run ends at once, even within a write. The error is a
// panic.
func (r *relay) run(ctx context.Context) (ended string, err error) {
	r.idle = newIdleTimer(r.timeout, r.tracker, r.abort)
	defer context.AfterFunc(ctx, r.abort)()
	defer context.AfterFunc(r.stopping, r.drain)()
	panics := true
	defer func() {
		if panics { // in receive: the other pump must end, too
			r.abort()
		}
	}()

	sent := make(chan error, 1)
	go func() {
		err := guard(r.send)
		if err != nil {
			r.abort()
		}
		sent <- err
	}()
	if r.receive() {
		r.idle.release()
		defer time.AfterFunc(linger, r.abort).Stop()
	} else {
		r.abort()
	}
	err = <-sent
	panics = false
	return r.idle.stop(), err
}

// drain ends the relay as soon as the upstream owes no reply.
func (r *relay) drain() {
	if context.Cause(r.stopping) == errRevoked {
		r.idle.drain(closedAtRevocation, r.part)
		return
	}
	r.idle.drain(closedAtShutdown, r.abort)
}

// part ends the relay as if the upstream had closed, so that the client can receive a
// reply.
func (r *relay) part() {
	r.parting.Store(true)
	r.upstream.Abort()
}

// abort makes both pumps end.
func (r *relay) abort() {
	r.client.Abort()
	r.upstream.Abort()
	r.idle.release()
}

// send copies to the upstream until the client closes or the upstream is lost. A pump has
// a buffer only while there is data in it.
func (r *relay) send() error {
	for {
		b, err := r.client.Receive()
		if err != nil {
			r.clientEnded(err)
			return nil
		}
		p, err := r.tracker.FromClient(b.Octets())
		if err != nil {
			b.Return()
			r.idle.because(err.Error(), nil)
			r.abort()
			return nil
		}
		err = r.toUpstream(p)
		b.Return()
		if err != nil {
			r.idle.because("upstream lost", err)
			// The rest that the client sends must be read. Unread data makes the system
			// reset the connection, and the client loses the end of what it was sent.
			discard(r.client)
			return nil
		}
	}
}

// clientEnded ends send. It holds the half-close back while the upstream owes a reply: some
// servers reset the connection at a half-close, and the client loses the reply.
func (r *relay) clientEnded(err error) {
	if err != io.EOF {
		r.idle.because("client lost", err)
		r.abort()
		return
	}
	r.idle.because("client closed", nil)
	if err := r.toUpstream(r.tracker.Held()); err != nil {
		return
	}
	r.idle.clientClosed()
	<-r.idle.answered
	r.upstream.CloseWrite()
}

func (r *relay) toUpstream(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	r.idle.received(true)
	n, err := r.upstream.Write(p)
	r.idle.forwarded(true)
	r.sent(n)
	return err
}

// receive copies to the client until the upstream closes or one side is lost. It returns
// true if the client is still connected.
func (r *relay) receive() bool {
	whole := true // the client has received complete lines
	for {
		b, err := r.upstream.Receive()
		if err != nil {
			if err == io.EOF {
				r.idle.because("upstream closed", nil)
			} else {
				r.idle.because("upstream lost", err)
			}
			if r.parting.Load() && whole {
				r.sayFarewell()
			}
			r.client.CloseWrite()
			return true
		}
		r.idle.received(false)
		r.tracker.FromUpstream(b.Octets())
		whole = bytes.HasSuffix(b.Octets(), []byte("\n"))
		n, err := r.client.Write(b.Octets())
		b.Return()
		r.idle.forwarded(false)
		r.received(n)
		if err != nil {
			r.idle.because("client lost", err)
			return false
		}
	}
}

// sayFarewell tells the client that the grant was revoked, unless the upstream owes a reply:
// the client would mistake one for the other.
func (r *relay) sayFarewell() {
	if owed, _ := r.tracker.Owed(); !owed && r.farewell != nil {
		r.farewell()
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
