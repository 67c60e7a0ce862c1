package gateway

import (
	"context"
	"errors"
	"sync"
	"time"
)

// DefaultHold is the time for which a client is held back instead of refused.
const DefaultHold = 45 * time.Second

// A Rate limits messages by holding their MAIL commands: no more than PerMinute pass in any
// minute. A nil Rate is no limit.
type Rate struct {
	PerMinute int

	// Hold is the longest time that a message is held; 0 is DefaultHold. If it would be
	// longer, the client receives 451.
	Hold time.Duration

	mu    sync.Mutex
	times []time.Time // when the last messages pass, at most PerMinute
	next  int         // index of the earliest in times, once that is full
}

var errRate = errors.New("the account sends more messages than it may in a minute")

// wait returns when the next message may pass.
func (r *Rate) wait(ctx context.Context) error {
	if r == nil || r.PerMinute <= 0 {
		return nil
	}
	delay, ok := r.reserve(time.Now())
	if !ok {
		return errRate
	}
	return sleep(ctx, delay)
}

// reserve takes the place of one message, and returns the time until then.
func (r *Rate) reserve(now time.Time) (time.Duration, bool) {
	hold := r.Hold
	if hold == 0 {
		hold = DefaultHold
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.times) < r.PerMinute {
		r.times = append(r.times, now)
		return 0, true
	}
	at := now
	if free := r.times[r.next].Add(time.Minute); free.After(now) {
		at = free
	}
	if at.Sub(now) > hold {
		return 0, false
	}
	r.times[r.next] = at
	r.next = (r.next + 1) % len(r.times)
	return at.Sub(now), true
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
