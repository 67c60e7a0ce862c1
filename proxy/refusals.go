package proxy

import (
	"fmt"
	"sync"
	"time"
)

// After a refusal, a password for an upstream is not used for a time that doubles with each
// refusal: a program that tries every minute would otherwise get the account locked.
const (
	firstRefusal = 10 * time.Second
	maxRefusal   = 15 * time.Minute
)

// refusals has the last refusals of passwords by upstreams, by account and protocol.
type refusals struct {
	mu   sync.Mutex
	last map[[2]string]refusal
}

type refusal struct {
	err   *Error
	wait  time.Duration
	until time.Time
}

// standing returns the last refusal while its wait lasts, and nil after that.
func (r *refusals) standing(account, protocol string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.last[[2]string{account, protocol}]
	left := time.Until(last.until)
	if left <= 0 {
		return nil
	}
	e := *last.err
	e.Err = fmt.Errorf("not asked again for %d s after: %w", int(left.Seconds())+1, last.err)
	return &e
}

// note records the result of a login. Success forgets earlier refusals. Concurrent refusals
// count once.
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
	now, last := time.Now(), r.last[key]
	switch {
	case now.Before(last.until):
		return
	case now.After(last.until.Add(maxRefusal)):
		last.wait = 0
	}
	wait := min(max(2*last.wait, firstRefusal), maxRefusal)
	r.last[key] = refusal{failure(err), wait, now.Add(wait)}
}
