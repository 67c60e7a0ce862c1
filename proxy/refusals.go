package proxy

import (
	"sync"
	"time"
)

// After a refusal a password is left alone for a while, which doubles each time:
// a program that tries every minute would soon have the account locked, and a
// password, unlike a token, does not mend itself.
const (
	firstRefusal = 10 * time.Second
	maxRefusal   = 15 * time.Minute
)

// refusals are those of passwords by upstreams, by account and protocol: one
// server may take what another does not.
type refusals struct {
	mu   sync.Mutex
	last map[[2]string]refusal
}

type refusal struct {
	err   error
	wait  time.Duration
	until time.Time
}

// standing is the last refusal, as long as the upstream is not to be asked again.
func (r *refusals) standing(account, protocol string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.last[[2]string{account, protocol}]
	if time.Now().Before(last.until) {
		return last.err
	}
	return nil
}

// note keeps err, of a login, if it is a refusal, and otherwise forgets those
// that were before it.
func (r *refusals) note(account, protocol string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{account, protocol}
	if err == nil {
		delete(r.last, key)
	}
	if err == nil || failure(err).Result != UpstreamRefused {
		return
	}
	if r.last == nil {
		r.last = make(map[[2]string]refusal)
	}
	wait := min(max(2*r.last[key].wait, firstRefusal), maxRefusal)
	r.last[key] = refusal{err, wait, time.Now().Add(wait)}
}
