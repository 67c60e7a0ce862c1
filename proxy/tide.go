package proxy

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// quiet is how long nothing may have moved, and nobody owe an answer, for a
// relay to end when xoauthd stops.
const quiet = time.Second

// A tide says whether anything moves in a relay, in either direction, and when
// it is time to end because nothing does. One clock serves both directions: a
// download of an hour is no silence of the client's.
type tide struct {
	begun      time.Time
	last       atomic.Int64 // when something moved, in nanoseconds since begun
	toUpstream atomic.Bool  // it moved to the upstream, which may owe an answer

	mu     sync.Mutex // for all below
	most   time.Duration
	ebbing bool
	why    string // the first reason to end
	timer  *time.Timer
	expire func()
}

// newTide returns a tide that calls expire when nothing has moved for idle; 0
// is for ever.
func newTide(idle time.Duration, expire func()) *tide {
	if idle <= 0 {
		idle = math.MaxInt64
	}
	t := &tide{begun: time.Now(), most: idle, expire: expire}
	t.timer = time.AfterFunc(idle, t.check)
	return t
}

// moved says that something moved, to the upstream or to the client.
func (t *tide) moved(toUpstream bool) {
	t.toUpstream.Store(toUpstream)
	t.last.Store(int64(time.Since(t.begun)))
}

// bound makes d the longest time without movement, from now on.
func (t *tide) bound(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = min(t.most, d)
	t.last.Store(int64(time.Since(t.begun)))
	t.timer.Reset(t.most)
}

// ebb ends the relay at the next moment when nobody owes an answer: a message
// that the upstream is about to take must not be sent twice.
func (t *tide) ebb() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ebbing = true
	t.timer.Reset(0)
}

// check ends the relay if nothing has moved for too long.
func (t *tide) check() {
	t.mu.Lock()
	defer t.mu.Unlock()
	still := time.Since(t.begun) - time.Duration(t.last.Load())
	next := t.most - still
	switch {
	case next <= 0:
		t.end(fmt.Sprintf("nothing moved for %v", t.most))
		return
	case t.ebbing && still >= quiet && !t.toUpstream.Load():
		t.end("xoauthd stops")
		return
	case t.ebbing:
		next = min(next, quiet)
	}
	t.timer.Reset(next)
}

func (t *tide) end(why string) {
	if t.why == "" {
		t.why = why
	}
	t.expire()
}

// because keeps why as the reason for the end, unless there is one already.
func (t *tide) because(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why == "" {
		t.why = why
	}
}

func (t *tide) stop() { t.timer.Stop() }
