package relay

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xoauthd/xoauthd/internal/text"
)

const (
	// quiet is how long nothing must have moved before a relay counts as silent:
	// where it is not known whether the upstream owes an answer, and when xoauthd
	// stops.
	quiet = time.Second

	// linger is how long one side may take after the other has closed: the client
	// to close as well, the upstream from one sign of life to the next.
	linger = 10 * time.Second

	// answerTimeout is how long an upstream may take to answer a client that has
	// half-closed. The client must hear that a message was accepted, or it sends the
	// message again (RFC 5321 section 4.5.3.2.6).
	answerTimeout = 10 * time.Minute

	// answerGuess is how long a half-close is held back if it is not certain that the
	// upstream owes an answer. It may be waiting for the rest of a command.
	answerGuess = 20 * time.Second

	// writeTimeout is how long an upstream may accept nothing of what it is sent.
	// A client may do so until the idle timeout: some do not read while a person
	// reads.
	writeTimeout = 5 * time.Minute

	// answeredWithin is how long after the last bytes of the client the upstream counts
	// as owing an answer, where it is not known what it owes: in a compressed dialogue.
	answeredWithin = time.Minute
)

// maxReason limits the reason for the end of a relay, in bytes.
const maxReason = 1000

// Why a relay ends that xoauthd ended.
const (
	closedAtShutdown   = "closed at shutdown"
	closedAtRevocation = "grant revoked"
)

// An idleTimer ends a relay after the idle timeout, after a half-close or when
// xoauthd stops. One clock serves both directions: a client that is silent during
// a download of an hour is not idle.
type idleTimer struct {
	begun      time.Time
	last       atomic.Int64 // when bytes last moved, in nanoseconds since begun
	fromClient atomic.Bool  // the last bytes came from the client
	asked      atomic.Int64 // when bytes last came from the client, as last
	pending    atomic.Int32 // pumps that hold bytes which they could not forward yet
	blocked    atomic.Bool  // one of them is that to the upstream
	ending     atomic.Bool  // the client has closed, or the relay drains
	tracker    Tracker

	// answered is closed by release: the half-close of the client may be passed on,
	// or the relay ends.
	answered chan struct{}
	release  func()

	mu       sync.Mutex // for all below
	timeout  time.Duration
	closed   time.Time // when the client closed; zero if it has not
	draining time.Time // since when the relay ends at the next good moment; zero if it does not
	why      string    // it drains
	drained  func()    // ends the relay when it has drained
	reason   string    // the first one to end
	stopped  bool      // the relay has ended
	timer    *time.Timer
	expire   func()
}

// newIdleTimer returns a timer that calls expire when nothing has moved for
// timeout; 0 is for ever.
func newIdleTimer(timeout time.Duration, tracker Tracker, expire func()) *idleTimer {
	if timeout <= 0 {
		timeout = math.MaxInt64
	}
	answered := make(chan struct{})
	t := &idleTimer{
		begun:    time.Now(),
		tracker:  tracker,
		answered: answered,
		release:  sync.OnceFunc(func() { close(answered) }),
		timeout:  timeout,
		expire:   expire,
	}
	t.asked.Store(-int64(answeredWithin))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(min(timeout, writeTimeout), t.check)
	return t
}

// received notes bytes from the client or from the upstream. The caller calls it
// before it forwards them, as they may be answered at once.
func (t *idleTimer) received(fromClient bool) {
	t.pending.Add(1)
	t.moved() // before it can be called blocked
	t.fromClient.Store(fromClient)
	if fromClient {
		t.asked.Store(t.last.Load())
		t.blocked.Store(true)
	}
}

// forwarded notes that the bytes received last have been written.
func (t *idleTimer) forwarded(fromClient bool) {
	t.moved() // before pending, as check reads them in the reverse order
	t.pending.Add(-1)
	if fromClient {
		t.blocked.Store(false)
	}
	if t.ending.Load() { // it may be what the end waits for
		t.wake()
	}
}

func (t *idleTimer) moved() { t.last.Store(int64(time.Since(t.begun))) }

func (t *idleTimer) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer.Reset(0)
}

// clientClosed notes that the client sends nothing more. That is no departure: it
// may be waiting for answers.
func (t *idleTimer) clientClosed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = time.Now()
	t.ending.Store(true)
	t.timer.Reset(0)
}

// drain calls drained at the next moment when the upstream owes no answer:
// otherwise a client would send a message again that the upstream has accepted.
func (t *idleTimer) drain(why string, drained func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draining, t.why, t.drained = time.Now(), why, drained
	t.ending.Store(true)
	t.timer.Reset(0)
}

// owed reports whether the upstream owes an answer, and whether that is certain.
// Otherwise it is a guess: whether the last bytes came from the client, or some came
// lately. An upstream that answers may owe another answer.
func (t *idleTimer) owed() (owed, certain bool) {
	if owed, known := t.tracker.Owed(); known {
		return owed, true
	}
	lately := time.Since(t.begun)-time.Duration(t.asked.Load()) < answeredWithin
	return t.fromClient.Load() || lately, false
}

// check ends the relay if a limit is reached, and re-arms the timer for the next
// moment at which one could be.
func (t *idleTimer) check() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped { // it had fired before stop, and would arm the timer again
		return
	}
	// Pumps go on meanwhile. What they change last is read first, so that the end of a
	// message is never seen without the reply that it causes, nor a reply without its time.
	unfinished := t.tracker.Unfinished()
	owed, certain := t.owed()
	pending, blocked := t.pending.Load() > 0, t.blocked.Load()
	silent := time.Since(t.begun) - time.Duration(t.last.Load())
	waited, limit, next := silent, t.timeout, writeTimeout
	if !t.closed.IsZero() {
		waited, limit, next = min(silent, time.Since(t.closed)), answerTimeout, quiet
		if certain && !owed {
			limit = linger
		}
		if certain && !owed || !certain && (silent >= quiet && !owed || waited >= answerGuess) {
			t.release()
		}
	}
	if !t.draining.IsZero() {
		next = quiet
	}
	switch {
	case waited >= limit:
		t.end(fmt.Sprintf("idle timeout (%v)", limit))
	case blocked && silent >= writeTimeout:
		t.end(fmt.Sprintf("upstream write timeout (%v)", writeTimeout))
	case t.hasDrained(silent, owed || pending || unfinished):
		t.keep(t.why)
		t.drained()
	default:
		t.timer.Reset(min(limit-waited, next))
	}
}

// hasDrained reports whether the relay drains and can end now. busy says that it is in the
// middle of something.
func (t *idleTimer) hasDrained(silent time.Duration, busy bool) bool {
	return !t.draining.IsZero() && !busy && t.closed.IsZero() && silent >= quiet
}

func (t *idleTimer) end(reason string) {
	t.keep(reason)
	t.expire()
}

// keep keeps the reason for the end, unless there is one already.
func (t *idleTimer) keep(reason string) {
	if t.reason == "" {
		t.reason = reason
	}
}

// because keeps the reason for the end, unless there is one already: what
// happened, and the error by which that was noticed, if any.
func (t *idleTimer) because(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.reason != "":
	case err == nil:
		t.reason = what
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded): // which only the end of the session causes
		t.reason = cmp.Or(t.why, closedAtShutdown)
	default:
		t.reason = what + ": " + text.Line(err.Error(), maxReason)
	}
}

// stop returns the reason for the end.
func (t *idleTimer) stop() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
	return t.reason
}
