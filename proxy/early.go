package proxy

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// maxEarly is how many early connections a Server has at a time.
	maxEarly = 10

	// earlyPause is how long an early connection that no login used still counts as
	// one: a client that says EHLO and leaves, again and again, must not make
	// xoauthd connect to the provider as often.
	earlyPause = 10 * time.Second

	// earlyWait is how long a client waits for the reply to EHLO. Some programs have
	// time-outs of 10 seconds, and EHLO alone need not fail.
	earlyWait = 3 * time.Second
)

// An earlyConn is a connection to the upstream that begins at EHLO, before the
// client logs in. The client does not say EHLO again after AUTH, so it must be told
// then what the upstream can do.
type earlyConn struct {
	upstream *Upstream
	cancel   context.CancelFunc
	release  func() // gives its place back

	done chan struct{} // closed when both below are set
	link *link         // nil if that failed
	err  error         // an *Error
}

// earlyLimit counts early connections.
type earlyLimit struct{ n atomic.Int32 }

// acquire takes a place, if there is one.
func (l *earlyLimit) acquire() bool {
	if l.n.Add(1) > maxEarly {
		l.n.Add(-1)
		return false
	}
	return true
}

func (l *earlyLimit) release() { l.n.Add(-1) }

// extensions returns what the client is told before it logs in: the extensions of
// the upstream where it is known which one that will be, otherwise those that all
// upstreams of the listener have in common. An upstream that does not answer in
// time has those that it had when last seen. wanted is false if the client, by
// HELO, only says its name.
func (s *session) extensions(ctx context.Context, hello string, wanted bool) []string {
	s.hello = hello
	if secure := s.client.Secure(); secure != s.secure { // what was said before TLS does not count
		s.secure, s.dialled = secure, false
		s.dropEarly()
	}
	if !wanted {
		return nil
	}
	if s.dialsEarly() && s.earlyLimit.acquire() {
		s.dialled = true
		s.early = s.dialEarly(ctx, s.l.Upstreams[0], hello)
	}
	if s.early != nil {
		ctx, cancel := s.within(ctx, earlyWait)
		defer cancel()
		select {
		case <-s.early.done:
			if s.early.link != nil {
				return s.early.link.Extensions()
			}
		case <-ctx.Done():
		}
	}
	return s.memory.common(s.l.Upstreams, s.protocol.unseen)
}

// dialsEarly reports whether it is worth a connection to know what the upstream
// can do. For clients on other machines it is not once that is known: each of them
// would cost a connection. It is not while the upstream cannot be reached either.
func (s *session) dialsEarly() bool {
	return s.protocol.early && len(s.l.Upstreams) == 1 && !s.dialled && !s.client.NeedsTLS() &&
		!s.memory.failedLately(s.l.Upstreams[0]) && (s.isHere() || !s.memory.knows(s.l.Upstreams[0]))
}

// dialEarly begins an early connection. It has a place of earlyLimit.
func (s *session) dialEarly(ctx context.Context, u *Upstream, hello string) *earlyConn {
	ctx, cancel := s.within(ctx, loginTime)
	e := &earlyConn{upstream: u, cancel: cancel, release: s.earlyLimit.release, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.err = guard(func() (err error) {
			e.link, err = s.dial(ctx, s.protocol, u, hello, s.tracer("upstream"))
			return err
		})
		if e.err == nil {
			s.memory.keep(u, e.link.Extensions())
		} else if ctx.Err() != context.Canceled {
			s.memory.fail(u)
		}
	}()
	return e
}

// takeEarly returns the early connection to u for a login, or nil if there is none.
// The login waits for one that is not ready yet rather than dial a second time: then
// the error is why that one failed.
func (s *session) takeEarly(ctx context.Context, u *Upstream) (*link, error) {
	e := s.early
	if e == nil || e.upstream != u {
		return nil, nil
	}
	s.early = nil
	defer e.cancel()
	defer e.release()
	select {
	case <-e.done:
		return e.link, nil // the upstream may be there again
	default:
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		e.cancel()
		<-e.done
	}
	return e.link, e.err
}

// dropEarly ends the early connection, which no login has used.
func (s *session) dropEarly() {
	e := s.early
	if e == nil {
		return
	}
	s.early = nil
	e.cancel()
	<-e.done
	if e.link != nil {
		e.link.Quit()
		e.link.close()
	}
	time.AfterFunc(earlyPause, e.release)
}
