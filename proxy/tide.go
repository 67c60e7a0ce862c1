package proxy

import (
	"errors"
	"fmt"
	"math"
	"net"
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
	begun time.Time
	last  atomic.Int64 // when something moved, in nanoseconds since begun
	owed  atomic.Bool  // what came last came from the client: the upstream may owe an answer
	held  atomic.Int32 // pumps that hold something which they could not yet pass on

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

// taken says that something came, from the client or from the upstream. It is
// said before that is given to the other, who may answer at once.
func (t *tide) taken(fromClient bool) {
	t.held.Add(1)
	t.owed.Store(fromClient)
	t.moved()
}

// given says that what was taken has been passed on.
func (t *tide) given() {
	t.held.Add(-1)
	t.moved()
}

func (t *tide) moved() { t.last.Store(int64(time.Since(t.begun))) }

// bound makes d the longest time without movement, from now on.
func (t *tide) bound(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = min(t.most, d)
	t.moved()
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
	case t.ebbing && still >= quiet && !t.owed.Load() && t.held.Load() == 0:
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

// because keeps the reason for the end, unless there is one already: what
// happened, and the error by which it was seen, if any.
func (t *tide) because(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.why != "":
	case err == nil:
		t.why = what
	case errors.Is(err, net.ErrClosed): // which only the end of the session does
		t.why = "xoauthd did not wait any longer"
	default:
		t.why = what + ": " + reason(err)
	}
}

// stop returns the reason for the end.
func (t *tide) stop() string {
	t.timer.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why
}
