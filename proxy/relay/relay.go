// Package relay copies bytes between a client and an upstream after the login, until one
// side closes, the idle timeout is reached, or the relay has drained.
package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/xoauthd/xoauthd/internal/panics"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Tracker follows the commands and replies after a login as far as the relay needs. It
// removes the password from a second login: forwarded, the local password would reach the
// mail server.
type Tracker interface {
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

// ErrRevoked is the cause of Relay.Stopping if the relay must drain because the grant of
// the account was revoked.
var ErrRevoked = errors.New("the grant of the account was revoked")

// A Relay copies bytes in both directions, unchanged but for a second login. It is used
// once.
type Relay struct {
	Client, Upstream *wire.Stream
	Tracker          Tracker
	IdleTimeout      time.Duration   // 0 is none
	Stopping         context.Context // done when the relay must drain; see ErrRevoked
	Sent, Received   func(n int)     // count bytes to the upstream and to the client

	// Farewell tells the client that the grant was revoked. It is nil if the protocol has no
	// reply for that.
	Farewell func()

	idle    *idleTimer
	revoked atomic.Bool // the relay ends because the grant was revoked
}

// Run copies until the relay ends, and returns why it ended, for the log. When the client
// closes, Run half-closes the upstream as soon as it owes no reply. When the upstream
// closes, Run returns after the client has received everything. When ctx is done, Run
// returns at once, even within a write. The error is a panic.
func (r *Relay) Run(ctx context.Context) (ended string, err error) {
	r.idle = newIdleTimer(r.IdleTimeout, r.Tracker, r.abort)
	defer context.AfterFunc(ctx, r.abort)()
	defer context.AfterFunc(r.Stopping, r.drain)()
	finished := false
	defer func() {
		if !finished { // receive has panicked: the other pump must end, too
			r.abort()
		}
	}()

	sent := make(chan error, 1)
	go func() {
		err := panics.Catch(r.send)
		if err != nil {
			r.abort()
		}
		sent <- err
	}()
	if r.receive() {
		r.idle.release()
		defer time.AfterFunc(closeTimeout, r.abort).Stop()
	} else {
		r.abort()
	}
	err = <-sent
	finished = true
	return r.idle.stop(), err
}

// drain ends the relay as soon as the upstream owes no reply.
func (r *Relay) drain() {
	if context.Cause(r.Stopping) == ErrRevoked {
		r.idle.drain(closedAtRevocation, r.endRevoked)
		return
	}
	r.idle.drain(closedAtShutdown, r.abort)
}

// endRevoked ends the relay as if the upstream had closed, so that the client can receive a
// reply.
func (r *Relay) endRevoked() {
	r.revoked.Store(true)
	r.Upstream.Abort()
}

// abort makes both pumps end.
func (r *Relay) abort() {
	r.Client.Abort()
	r.Upstream.Abort()
	r.idle.release()
}

// send copies to the upstream until the client closes or the upstream is lost. A pump has
// a buffer only while there is data in it.
func (r *Relay) send() error {
	for {
		b, err := r.Client.Receive()
		if err != nil {
			r.clientEnded(err)
			return nil
		}
		p, err := r.Tracker.FromClient(b.Octets())
		if err != nil {
			b.Return()
			r.idle.recordEnd(err.Error(), nil)
			r.abort()
			return nil
		}
		err = r.toUpstream(p)
		b.Return()
		if err != nil {
			r.idle.recordEnd("upstream lost", err)
			// The rest that the client sends must be read. Unread data makes the system
			// reset the connection, and the client loses the end of what it was sent.
			discard(r.Client)
			return nil
		}
	}
}

// clientEnded ends send. It holds the half-close back while the upstream owes a reply: some
// servers reset the connection at a half-close, and the client loses the reply.
func (r *Relay) clientEnded(err error) {
	if err != io.EOF {
		r.idle.recordEnd("client lost", err)
		r.abort()
		return
	}
	r.idle.recordEnd("client closed", nil)
	if err := r.toUpstream(r.Tracker.Held()); err != nil {
		return
	}
	r.idle.clientClosed()
	<-r.idle.released
	r.Upstream.CloseWrite()
}

func (r *Relay) toUpstream(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	r.idle.received(true)
	n, err := r.Upstream.Write(p)
	r.idle.forwarded(true)
	r.Sent(n)
	return err
}

// receive copies to the client until the upstream closes or one side is lost. It returns
// true if the client is still connected.
func (r *Relay) receive() bool {
	whole := true // the client has received complete lines
	for {
		b, err := r.Upstream.Receive()
		if err != nil {
			if err == io.EOF {
				r.idle.recordEnd("upstream closed", nil)
			} else {
				r.idle.recordEnd("upstream lost", err)
			}
			if r.revoked.Load() && whole {
				r.sendFarewell()
			}
			r.Client.CloseWrite()
			return true
		}
		r.idle.received(false)
		r.Tracker.FromUpstream(b.Octets())
		whole = bytes.HasSuffix(b.Octets(), []byte("\n"))
		n, err := r.Client.Write(b.Octets())
		b.Return()
		r.idle.forwarded(false)
		r.Received(n)
		if err != nil {
			r.idle.recordEnd("client lost", err)
			return false
		}
	}
}

// sendFarewell tells the client that the grant was revoked, unless the upstream owes a reply:
// the client would mistake one for the other.
func (r *Relay) sendFarewell() {
	if owed, _ := r.Tracker.Owed(); !owed && r.Farewell != nil {
		r.Farewell()
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
