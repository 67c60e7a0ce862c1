package auth

import (
	"context"
	"slices"
	"sync"
	"time"
)

// maxWait is the longest that a guess stands in a line, and less than programs
// wait for an answer. It is let go when the next turn is given.
const maxWait = 20 * time.Second

// A line is of those who wait for a turn. The newest has the next: guessers who
// wait for their answers come no faster than they get them, so that a newcomer
// seldom finds more than one of them before it, however many there are behind.
//
// Answers are given when a turn ends, and the next begins at once. Those who were
// answered or let go, and come again, so come together, early in a turn of another.
// A newcomer who comes just before them has bad luck, and must try again.
type line struct {
	// next is when the next turn may be used. Whoever has one may set it, if turns
	// is 1.
	next time.Time

	turns int // at one time

	mu      sync.Mutex
	taken   int
	waiting []*waiter // the newest last
}

type waiter struct {
	since time.Time
	turn  chan error // nil: it has one
}

// enter waits for a turn, and then until it may be used. The caller must leave,
// unless there is an error: ErrGuesses, or that of ctx.
func (l *line) enter(ctx context.Context) error {
	if err := l.queue(ctx); err != nil {
		return err
	}
	wait := time.Until(l.next)
	if wait <= 0 {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		l.leave()
		return ctx.Err()
	}
}

// queue waits for a turn.
func (l *line) queue(ctx context.Context) error {
	w := l.join()
	if w == nil {
		return nil
	}
	select {
	case err := <-w.turn:
		return err
	case <-ctx.Done():
	}
	if !l.quit(w) && <-w.turn == nil {
		l.leave() // the turn came too late
	}
	return ctx.Err()
}

// join returns how to wait, or nil if there was a turn.
func (l *line) join() *waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken < l.turns {
		l.taken++
		return nil
	}
	w := &waiter{time.Now(), make(chan error, 1)}
	l.waiting = append(l.waiting, w)
	return w
}

// quit reports whether w waited still.
func (l *line) quit(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, w)
	if i < 0 {
		return false
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	return true
}

// leave gives the turn to the newest, and lets go who has waited for maxWait.
func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	late := 0
	for late < len(l.waiting) && time.Since(l.waiting[late].since) >= maxWait {
		l.waiting[late].turn <- ErrGuesses
		late++
	}
	l.waiting = slices.Delete(l.waiting, 0, late)
	newest := len(l.waiting) - 1
	if newest < 0 {
		l.taken--
		return
	}
	l.waiting[newest].turn <- nil
	l.waiting = slices.Delete(l.waiting, newest, newest+1)
}
