package gateway

import (
	"context"
	"errors"
	"sync"
	"time"
)

// DefaultHold is the time for which a client is held back instead of refused.
const DefaultHold = 45 * time.Second

// A Rate limits messages by holding their MAIL commands. Up to PerMinute messages pass at
// once; after that, one for each part of the minute. A nil Rate is no limit.
type Rate struct {
	PerMinute int

	// Hold is the longest time that a message is held; 0 is DefaultHold. If it would be
	// longer, the client receives 451.
	Hold time.Duration

	mu   sync.Mutex
	full time.Time // when all PerMinute messages could pass at once again
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
	full := r.full
	if full.Before(now) {
		full = now
	}
	full = full.Add(time.Minute / time.Duration(r.PerMinute))
	delay := max(0, full.Sub(now)-time.Minute)
	if delay > hold {
		return 0, false
	}
	r.full = full
	return delay, true
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
