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

// A tracker follows what is said after a login, as far as a relay has to know it.
type tracker interface {
	// FromClient returns p as it is to reach the upstream: as it is, but for a
	// second login. An error ends the relay.
	FromClient(p []byte) ([]byte, error)
	// Held returns what FromClient has held back of a line.
	Held() []byte
	// FromUpstream follows the replies.
	FromUpstream(p []byte)
	// Owed reports whether the upstream owes a reply, if that is known.
	Owed() (owed, known bool)
	// Unfinished reports whether the client is within a message, or may be.
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

// A relay is two pumps.
type relay struct {
	client, upstream *wire.Stream
	tracker          tracker
	timeout          time.Duration   // of the idle timer; 0 is for ever
	stopping         context.Context // when done, the relay ends at the next good moment
	sent, received   func(n int)     // count bytes to the upstream and to the client
	farewell         func()          // tells the client that the grant was revoked; nil where no word exists for that

	idle    *idleTimer
	parting atomic.Bool // the relay ends because the grant was revoked
}

// run returns what ended the relay. When the client closes, run half-closes the
// upstream as soon as that owes no answer. When the upstream closes, run ends once
// the client has received everything. When ctx is done, run ends at once, even in
// the middle of a write. The error is a panic.
func (r *relay) run(ctx context.Context) (ended string, err error) {
	r.idle = newIdleTimer(r.timeout, r.tracker, r.abort)
	defer context.AfterFunc(ctx, r.abort)()
	defer context.AfterFunc(r.stopping, r.drain)()

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
	return r.idle.stop(), err
}

// drain ends the relay at the next moment when the upstream owes no answer.
func (r *relay) drain() {
	if context.Cause(r.stopping) == errRevoked {
		r.idle.drain(closedAtRevocation, r.part)
		return
	}
	r.idle.drain(closedAtShutdown, r.abort)
}

// part ends the relay as if the upstream had closed, so that the client can be told
// why and has time to close.
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

// send pumps to the upstream until the client has closed or the upstream is lost.
// A pump owns a buffer only while there is something in it.
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
			// What the client still sends must be read: data that nobody reads makes
			// the system reset the connection, and the client would lose the end of
			// what it was sent.
			discard(r.client)
			return nil
		}
	}
}

// clientEnded ends send. The half-close is held back while the upstream owes an
// answer: a server that closes without reading it resets the connection, and the
// client loses the answer.
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

// receive pumps to the client until the upstream has closed or one side is lost.
// It reports whether the client is still there.
func (r *relay) receive() bool {
	whole := true // the client has received whole lines
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

// sayFarewell tells the client that the grant was revoked, unless the client would
// take that for a reply that the upstream owes.
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
