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
	// silentAfter is how long no bytes must have moved before a relay counts as silent.
	// This matters if it is not known whether the upstream owes a reply, and when xoauthd
	// stops.
	silentAfter = time.Second

	// closeTimeout is how long the client may take to close after the upstream has closed,
	// and how long an upstream that owes no reply may be silent after the client has closed.
	closeTimeout = 10 * time.Second

	// replyTimeout is how long an upstream may take to reply to a client that has
	// half-closed. The client must receive the reply that a message was accepted, or it
	// sends the message again (RFC 5321 section 4.5.3.2.6).
	replyTimeout = 10 * time.Minute

	// halfCloseDelay limits how long a half-close is held back if it is not certain that
	// the upstream owes a reply. It may be waiting for the rest of a command.
	halfCloseDelay = 20 * time.Second

	// writeTimeout is how long an upstream may accept no bytes. A client may do so until
	// the idle timeout: some clients do not read while a person reads.
	writeTimeout = 5 * time.Minute

	// assumeOwed is how long after the last bytes of the client the upstream counts as
	// owing a reply if that is not known, as in a compressed dialogue.
	assumeOwed = time.Minute
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
	start      time.Time
	last       atomic.Int64 // when bytes last moved, in nanoseconds since start
	fromClient atomic.Bool  // the last bytes came from the client
	lastSent   atomic.Int64 // when bytes last came from the client, as last
	pending    atomic.Int32 // pumps that hold bytes which they could not forward yet
	blocked    atomic.Bool  // the pump to the upstream is one of them
	ending     atomic.Bool  // the client has closed, or the relay drains
	tracker    Tracker

	// released is closed by release: the half-close of the client may be passed on, or the
	// relay ends.
	released chan struct{}
	release  func()

	mu          sync.Mutex // for all below
	timeout     time.Duration
	closed      time.Time // when the client closed; zero if it has not
	draining    bool      // the relay ends when the upstream owes no reply
	drainReason string    // why it drains
	drained     func()    // ends the relay when it has drained
	reason      string    // the first one to end
	stopped     bool      // the relay has ended
	timer       *time.Timer
	expire      func()
}

// newIdleTimer returns a timer that calls expire after timeout without bytes; 0 is no
// timeout.
func newIdleTimer(timeout time.Duration, tracker Tracker, expire func()) *idleTimer {
	if timeout <= 0 {
		timeout = math.MaxInt64
	}
	released := make(chan struct{})
	t := &idleTimer{
		start:    time.Now(),
		tracker:  tracker,
		released: released,
		release:  sync.OnceFunc(func() { close(released) }),
		timeout:  timeout,
		expire:   expire,
	}
	t.lastSent.Store(-int64(assumeOwed))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(min(timeout, writeTimeout), t.check)
	return t
}

// received records that bytes came from the client or from the upstream. The caller calls
// it before it forwards them, as the reply may come at once.
func (t *idleTimer) received(fromClient bool) {
	t.pending.Add(1)
	t.moved() // before blocked is set
	t.fromClient.Store(fromClient)
	if fromClient {
		t.lastSent.Store(t.last.Load())
		t.blocked.Store(true)
	}
}

// forwarded records that the bytes received last have been written.
func (t *idleTimer) forwarded(fromClient bool) {
	t.moved() // before pending, as check reads them in the reverse order
	t.pending.Add(-1)
	if fromClient {
		t.blocked.Store(false)
	}
	if t.ending.Load() { // the end may wait for this
		t.wake()
	}
}

func (t *idleTimer) moved() { t.last.Store(int64(time.Since(t.start))) }

func (t *idleTimer) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer.Reset(0)
}

// clientClosed records that the client has half-closed. It may still wait for replies.
func (t *idleTimer) clientClosed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = time.Now()
	t.ending.Store(true)
	t.timer.Reset(0)
}

// drain calls drained as soon as the upstream owes no reply: otherwise a client would send a
// message again that the upstream has accepted.
func (t *idleTimer) drain(reason string, drained func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draining, t.drainReason, t.drained = true, reason, drained
	t.ending.Store(true)
	t.timer.Reset(0)
}

// owed reports whether the upstream owes a reply, and whether that is certain. Otherwise it
// is a guess: the last bytes came from the client, or some came within assumeOwed. An
// upstream that sends a reply may owe another one.
func (t *idleTimer) owed() (owed, certain bool) {
	if owed, known := t.tracker.Owed(); known {
		return owed, true
	}
	recent := time.Since(t.start)-time.Duration(t.lastSent.Load()) < assumeOwed
	return t.fromClient.Load() || recent, false
}

// check ends the relay if a limit is reached, and re-arms the timer for the next
// moment at which one could be.
func (t *idleTimer) check() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped { // the timer had fired before stop
		return
	}
	// Pumps go on meanwhile. What they change last is read first, so that the end of a
	// message is never seen without the reply that it causes, nor a reply without its time.
	unfinished := t.tracker.Unfinished()
	owed, certain := t.owed()
	pending, blocked := t.pending.Load() > 0, t.blocked.Load()
	silent := time.Since(t.start) - time.Duration(t.last.Load())
	waited, limit, next := silent, t.timeout, writeTimeout
	if !t.closed.IsZero() {
		waited, limit, next = min(silent, time.Since(t.closed)), replyTimeout, silentAfter
		if certain && !owed {
			limit = closeTimeout
		}
		if certain && !owed || !certain && (silent >= silentAfter && !owed || waited >= halfCloseDelay) {
			t.release()
		}
	}
	if t.draining {
		next = silentAfter
	}
	switch {
	case waited >= limit:
		t.expireWith(fmt.Sprintf("idle timeout (%v)", limit))
	case blocked && silent >= writeTimeout:
		t.expireWith(fmt.Sprintf("upstream write timeout (%v)", writeTimeout))
	case t.hasDrained(silent, owed || pending || unfinished):
		t.setReason(t.drainReason)
		t.drained()
	default:
		t.timer.Reset(min(limit-waited, next))
	}
}

// hasDrained reports whether the relay drains and can end now. busy is true while a reply, a
// write or a message is not complete.
func (t *idleTimer) hasDrained(silent time.Duration, busy bool) bool {
	return t.draining && !busy && t.closed.IsZero() && silent >= silentAfter
}

func (t *idleTimer) expireWith(reason string) {
	t.setReason(reason)
	t.expire()
}

// setReason sets the reason for the end, unless there is one already.
func (t *idleTimer) setReason(reason string) {
	if t.reason == "" {
		t.reason = reason
	}
}

// recordEnd records what has ended the relay, unless there is a reason already. err is the
// error of the read or write, or nil.
func (t *idleTimer) recordEnd(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.setReason(what)
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded): // caused by the end of the session
		t.setReason(cmp.Or(t.drainReason, closedAtShutdown))
	default:
		t.setReason(what + ": " + text.Line(err.Error(), maxReason))
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
