package proxy

import (
	"fmt"
	"sync"
	"time"
)

// After a refusal, a password for an upstream is not used for a time that doubles with each
// refusal: a program that tries every minute would otherwise get the account locked. The rate
// of golang.org/x/time/rate is constant, so it does not fit.
const (
	firstBackoff = 10 * time.Second
	maxBackoff   = 15 * time.Minute
)

// passwordBackoff has the last refusals of passwords by upstreams, by account and protocol.
type passwordBackoff struct {
	mu   sync.Mutex
	last map[[2]string]refusedPassword
}

type refusedPassword struct {
	err   *Error
	wait  time.Duration
	until time.Time
}

// check returns the last refusal while its wait lasts, and nil after that.
func (b *passwordBackoff) check(account, protocol string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.last[[2]string{account, protocol}]
	left := time.Until(last.until)
	if left <= 0 {
		return nil
	}
	e := *last.err
	e.Err = fmt.Errorf("not asked again for %d s after: %w", int(left.Seconds())+1, last.err)
	return &e
}

// record records the result of a login. Success removes earlier refusals. Concurrent
// refusals count once.
func (b *passwordBackoff) record(account, protocol string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := [2]string{account, protocol}
	if err == nil {
		delete(b.last, key)
	}
	if err == nil || asError(err).Result != UpstreamRefused {
		return
	}
	if b.last == nil {
		b.last = make(map[[2]string]refusedPassword)
	}
	now, last := time.Now(), b.last[key]
	switch {
	case now.Before(last.until):
		return
	case now.After(last.until.Add(maxBackoff)):
		last.wait = 0
	}
	wait := min(max(2*last.wait, firstBackoff), maxBackoff)
	b.last[key] = refusedPassword{asError(err), wait, now.Add(wait)}
}
