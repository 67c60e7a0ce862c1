package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/xoauthd/xoauthd/internal/panics"
)

const (
	// maxEarly limits the early connections of a Server.
	maxEarly = 10

	// earlyPause is how long an early connection counts after its end if no login used it:
	// a client that sends EHLO and leaves must not make xoauthd connect to the provider as
	// often.
	earlyPause = 10 * time.Second

	// earlyWait limits how long EHLO waits for the upstream. Some programs have timeouts of
	// 10 seconds.
	earlyWait = 3 * time.Second
)

// An earlyConn is a connection to the upstream that is opened at EHLO, before the login:
// clients do not send EHLO again after AUTH, so they need the extensions of the upstream
// before.
type earlyConn struct {
	upstream *Upstream
	cancel   context.CancelFunc
	release  func() // frees its place

	done chan struct{} // closed when both below are set
	link *link         // nil if that failed
	err  error         // an *Error
}

// earlyLimit counts early connections.
type earlyLimit struct{ n atomic.Int32 }

// acquire takes a place, if one is free.
func (l *earlyLimit) acquire() bool {
	if l.n.Add(1) > maxEarly {
		l.n.Add(-1)
		return false
	}
	return true
}

func (l *earlyLimit) release() { l.n.Add(-1) }

// extensions returns the extensions for the client before its login: those of the upstream
// if there is only one, otherwise those that all upstreams of the listener have. If the
// upstream does not answer in time, the last known ones count. wanted is false for HELO.
func (s *session) extensions(ctx context.Context, hello string, wanted bool) []string {
	s.hello = hello
	if secure := s.client.Secure(); secure != s.secure { // an EHLO before TLS does not count
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

// dialsEarly reports whether to open an early connection: not for clients of other machines
// if the extensions are known, and not if the upstream could not be reached lately.
func (s *session) dialsEarly() bool {
	return s.protocol.early && len(s.l.Upstreams) == 1 && !s.dialled && !s.client.NeedsTLS() &&
		!s.memory.failedLately(s.l.Upstreams[0]) && (s.isHere() || !s.memory.knows(s.l.Upstreams[0]))
}

// dialEarly opens an early connection. The caller has acquired its place.
func (s *session) dialEarly(ctx context.Context, u *Upstream, hello string) *earlyConn {
	ctx, cancel := s.within(ctx, loginTime)
	e := &earlyConn{upstream: u, cancel: cancel, release: s.earlyLimit.release, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.err = panics.Catch(func() (err error) {
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

// takeEarly returns the early connection to u for a login, or nil if there is none. If it
// is not ready yet, takeEarly waits, and returns its error if it fails.
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
		return e.link, nil // after a failure, the login tries again
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

// dropEarly closes the early connection, which no login has used.
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
