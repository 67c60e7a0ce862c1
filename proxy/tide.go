package proxy

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// quiet is how long nothing may have moved, and nobody owe an answer, for a
	// relay to end when xoauthd stops.
	quiet = time.Second

	// linger is how long, after one side has hung up, the other may take: the
	// client until it does so too, the upstream from one sign of life to the next.
	linger = 10 * time.Second

	// owing is how long an upstream may take to answer a client that has half-
	// closed: that a message was taken must be heard, or it is sent twice (RFC
	// 5321 section 4.5.3.2.6).
	owing = 10 * time.Minute

	// stall is how long an upstream may take nothing of what it is sent. Clients
	// may for as long as nothing may move: some do not read while a person does.
	stall = 5 * time.Minute
)

// A tide says whether anything moves in a relay, in either direction, and when
// it is time to end because nothing does. One clock serves both directions: a
// download of an hour is no silence of the client's.
type tide struct {
	begun time.Time
	last  atomic.Int64 // when something moved, in nanoseconds since begun
	owed  atomic.Bool  // what came last came from the client: the upstream may owe an answer
	held  atomic.Int32 // pumps that hold something which they could not yet pass on
	stuck atomic.Bool  // one of them is that to the upstream

	mu     sync.Mutex // for all below
	most   time.Duration
	left   bool // the client has hung up
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
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(min(idle, stall), t.check)
	return t
}

// taken says that something came, from the client or from the upstream. It is
// said before that is given to the other, who may answer at once.
func (t *tide) taken(fromClient bool) {
	t.held.Add(1)
	t.owed.Store(fromClient)
	t.moved() // before it can be called stuck
	if fromClient {
		t.stuck.Store(true)
	}
}

// given says that what was taken has been passed on.
func (t *tide) given(fromClient bool) {
	t.held.Add(-1)
	if fromClient {
		t.stuck.Store(false)
	}
	t.moved()
}

func (t *tide) moved() { t.last.Store(int64(time.Since(t.begun))) }

// leave says that the client has hung up.
func (t *tide) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = true
	t.moved()
	t.timer.Reset(linger)
}

// ebb ends the relay at the next moment when nobody owes an answer: a message
// that the upstream is about to take must not be sent twice.
func (t *tide) ebb() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ebbing = true
	t.timer.Reset(0)
}

// check ends the relay if nothing has moved for too long. It comes again
// whenever that may be so, as what is too long changes with what moves.
func (t *tide) check() {
	t.mu.Lock()
	defer t.mu.Unlock()
	still := time.Since(t.begun) - time.Duration(t.last.Load())
	most, again := t.most, stall
	if t.left {
		most, again = linger, linger
		if t.owed.Load() {
			most = owing
		}
	}
	if t.ebbing {
		again = quiet
	}
	switch {
	case still >= most:
		t.end(fmt.Sprintf("nothing moved for %v", most))
	case t.stuck.Load() && still >= stall:
		t.end(fmt.Sprintf("upstream took nothing for %v", stall))
	case t.ebbing && still >= quiet && !t.owed.Load() && t.held.Load() == 0:
		t.end("xoauthd stops")
	default:
		t.timer.Reset(min(most-still, again))
	}
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
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded): // which only the end of the session does
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
