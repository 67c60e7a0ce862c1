package proxy

import (
	"context"
	"time"

	"github.com/xoauthd/xoauthd/proxy/limit"
	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// addressLimit returns the limit of the address. Programs of this machine, which all have
// one address, have none.
func (s *session) addressLimit() limit.Limit {
	perAddress := s.server.Limits.PerAddress
	if s.isLocal() {
		perAddress = 0
	}
	return limit.Limit{Of: s.host(), Max: perAddress, Key: "limits.sessions_per_address"}
}

// host describes the address of the client. This machine is one host.
func (s *session) host() string {
	if s.isLocal() {
		return "this machine"
	}
	return "address " + peercred.SourceOfAddr(s.from).String()
}

// isLocal reports whether the client is a program of this machine.
func (s *session) isLocal() bool { return !s.from.IsValid() || s.from.IsLoopback() }

// loginSource returns the source of a client that logs in. If only the kernel's tables know
// the user, it reads them, once: that takes too long for every connection, but not for a
// login.
func (s *session) loginSource() peercred.Source {
	switch {
	case s.source != (peercred.Source{}) || s.record.via != nil:
		return s.source
	case s.userSource == (peercred.Source{}):
		if uid, err := s.server.Peers.UID(s.conn); err == nil {
			s.userSource = peercred.SourceOfUser(uid)
		}
	}
	return s.userSource
}

// withSlots runs logIn when the session has a slot of each limit. It waits for at most
// Limits.Queue. Meanwhile it holds nothing that others need: no turn for a password hash,
// and no connection to an upstream.
func (s *session) withSlots(ctx context.Context, limits []limit.Limit, logIn func() (*upstreamSession, error)) (u *upstreamSession, err error) {
	slots := s.server.semaphore.Acquire(limits...)
	defer func() {
		if u == nil {
			slots.Release() // also after a panic
		}
	}()
	if err = s.wait(ctx, slots); err == nil {
		u, err = logIn()
	}
	switch {
	case err == nil:
		u.onEnd(slots.Release)
	case s.stopping.Err() != nil:
		err = s.stopError(err)
	}
	return u, err
}

// wait waits until w has its slots. The error names the limit that is reached. wait ends
// when the client half-closes: it may be gone. If it is not, it receives a reply.
func (s *session) wait(ctx context.Context, w *limit.Waiter) error {
	select {
	case <-w.Acquired():
		return nil
	default:
	}
	s.dropEarly()
	defer s.server.Metrics.waiting(s.listener.Protocol)()
	defer func(start time.Time) { s.record.queued += time.Since(start) }(time.Now())
	ctx, stop := s.watchClient(ctx, s.server.Limits.Queue, true)
	defer stop()
	select {
	case <-w.Acquired():
	case <-ctx.Done():
		if s.gone.Load() {
			return errGone
		}
		if full := w.Full(); full != nil {
			return Fail(TooManySessions, full)
		}
	}
	return nil
}
