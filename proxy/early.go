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
	conn *upstreamConn // nil if that failed
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
	if s.dialsEarly() && s.server.earlyLimit.acquire() {
		s.dialled = true
		s.early = s.dialEarly(ctx, s.listener.Upstreams[0], hello)
	}
	if s.early != nil {
		ctx, cancel := s.withTimeout(ctx, earlyWait)
		defer cancel()
		select {
		case <-s.early.done:
			if s.early.conn != nil {
				return s.early.conn.Extensions()
			}
		case <-ctx.Done():
		}
	}
	return s.server.extensions.common(s.listener.Upstreams, s.protocol.assumed)
}

// dialsEarly reports whether to open an early connection: not for clients of other machines
// if the extensions are known, and not if the upstream could not be reached lately.
func (s *session) dialsEarly() bool {
	return s.protocol.early && len(s.listener.Upstreams) == 1 && !s.dialled && !s.client.NeedsTLS() &&
		!s.server.extensions.failedRecently(s.listener.Upstreams[0]) && (s.isLocal() || !s.server.extensions.has(s.listener.Upstreams[0]))
}

// dialEarly opens an early connection. The caller has acquired its place.
func (s *session) dialEarly(ctx context.Context, u *Upstream, hello string) *earlyConn {
	ctx, cancel := s.withTimeout(withClient(ctx, s.from), loginTime)
	e := &earlyConn{upstream: u, cancel: cancel, release: s.server.earlyLimit.release, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.err = panics.Catch(func() (err error) {
			e.conn, err = s.server.dial(ctx, s.protocol, u, hello, s.tracer("upstream"))
			return err
		})
		if e.err == nil {
			s.server.extensions.store(u, e.conn.Extensions())
		} else if ctx.Err() != context.Canceled {
			s.server.extensions.recordFailure(u)
		}
	}()
	return e
}

// takeEarly returns the early connection to u for a login, or nil if there is none. If it
// is not ready yet, takeEarly waits, and returns its error if it fails.
func (s *session) takeEarly(ctx context.Context, u *Upstream) (*upstreamConn, error) {
	e := s.early
	if e == nil || e.upstream != u {
		return nil, nil
	}
	s.early = nil
	defer e.cancel()
	defer e.release()
	select {
	case <-e.done:
		return e.conn, nil // after a failure, the login tries again
	default:
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		e.cancel()
		<-e.done
	}
	return e.conn, e.err
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
	if e.conn != nil {
		e.conn.Quit()
		e.conn.close()
	}
	time.AfterFunc(earlyPause, e.release)
}
