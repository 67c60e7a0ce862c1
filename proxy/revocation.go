package proxy

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/proxy/relay"
)

// accountSessions are the sessions that are logged in, or log in, with the grant of
// an account. The zero value is ready to use.
type accountSessions struct {
	mu     sync.Mutex
	byName map[string]map[*session]chan struct{} // closed when the session has left
}

// join registers a session of an account. A session joins before it asks for the
// account's token, so that no token of a revoked grant is used by a session that
// EndSessions does not see. The caller must call leave.
func (a *accountSessions) join(account string, s *session) (leave func()) {
	left := make(chan struct{})
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byName == nil {
		a.byName = make(map[string]map[*session]chan struct{})
	}
	if a.byName[account] == nil {
		a.byName[account] = make(map[*session]chan struct{})
	}
	a.byName[account][s] = left
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.byName[account], s)
		if len(a.byName[account]) == 0 {
			delete(a.byName, account)
		}
		close(left)
	}
}

// of returns the sessions of an account, each with the channel that is closed when
// it has left.
func (a *accountSessions) of(account string) map[*session]chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.byName[account])
}

// EndSessions ends the sessions of an account whose grant was revoked, and those
// that log in with that grant. As at a stop, a session goes on while its upstream
// owes a reply, but for at most Limits.Drain. EndSessions returns how many sessions
// have ended: when all have, or when ctx is done, after which the others end as well.
func (s *Server) EndSessions(ctx context.Context, account string) (ended int) {
	all := s.accountSessions.of(account)
	timer := time.AfterFunc(s.Limits.Drain, func() {
		for x := range all {
			x.cancel()
		}
	})
	for x := range all {
		x.stop(relay.ErrRevoked)
	}
	for _, left := range all {
		select {
		case <-left:
			ended++
		case <-ctx.Done():
			return ended
		}
	}
	timer.Stop()
	return ended
}

// stopError returns the error of a session that xoauthd ends because of err.
func (s *session) stopError(err error) error {
	if context.Cause(s.stopping) == relay.ErrRevoked {
		return Fail(Revoked, relay.ErrRevoked)
	}
	return Fail(Stopping, err)
}
