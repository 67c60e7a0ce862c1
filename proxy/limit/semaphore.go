// Package limit limits concurrent sessions: Conns the connections of all clients, Semaphore
// the sessions of an account, a login or an address. It knows no session.
package limit

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// A Limit is a limit of concurrent sessions.
type Limit struct {
	Of  string // whose sessions: "account joe@example.com"
	Max int    // 0 is no limit
	Key string // the key of the configuration that sets it
}

func (l *Limit) Error() string {
	return fmt.Sprintf("session limit reached: %d for %s (%s)", l.Max, l.Of, l.Key)
}

// A Semaphore has the slots of limits. A waiter receives a slot of each of its limits at
// once, first come, first served. A waiter that cannot go on does not block others: a device
// at the limit of its login must not delay the other logins of the account. This is why
// golang.org/x/sync/semaphore is not used: with one Weighted for each limit, a waiter would
// hold slots of some limits while it waits for others. The zero value is ready to use.
type Semaphore struct {
	mu    sync.Mutex
	last  int               // number of the last waiter
	slots map[string]*slots // by Limit.Of
}

// slots are the slots of one limit.
type slots struct {
	taken   int
	waiting []*Waiter // by number
}

// A Waiter waits for, or has, a slot of each of its limits.
type Waiter struct {
	semaphore *Semaphore
	number    int
	limits    []Limit
	acquired  chan struct{}
	full      *Limit // the limit that it waits for; nil when it has its slots
}

// Acquire returns a waiter for a slot of each of limits. The caller must call Release,
// whether the waiter receives its slots or not.
func (s *Semaphore) Acquire(limits ...Limit) *Waiter {
	limits = slices.DeleteFunc(slices.Clone(limits), func(l Limit) bool { return l.Max <= 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	w := &Waiter{semaphore: s, number: s.last, limits: limits, acquired: make(chan struct{})}
	s.takeOrWait(w)
	return w
}

// Acquired returns a channel that is closed when w has its slots.
func (w *Waiter) Acquired() <-chan struct{} { return w.acquired }

// Full returns the limit that w waits for, or nil if w has its slots.
func (w *Waiter) Full() *Limit {
	w.semaphore.mu.Lock()
	defer w.semaphore.mu.Unlock()
	return w.full
}

// Release passes the slots of w to other waiters. If w still waits, it stops waiting.
func (w *Waiter) Release() {
	s := w.semaphore
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.full != nil {
		s.stopWaiting(w)
		return
	}
	for _, l := range w.limits {
		s.slots[l.Of].taken--
	}
	for next := s.next(w.limits); next != nil; next = s.next(w.limits) {
		s.stopWaiting(next)
		s.takeOrWait(next)
	}
	for _, l := range w.limits {
		if s.slots[l.Of].taken == 0 { // then none waits
			delete(s.slots, l.Of)
		}
	}
}

// Len returns the number of limits of which a slot is taken.
func (s *Semaphore) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.slots)
}

// takeOrWait takes the slots of w, or makes it wait for the first limit without a free one.
func (s *Semaphore) takeOrWait(w *Waiter) {
	for i, l := range w.limits {
		if at := s.slots[l.Of]; at != nil && at.taken >= l.Max {
			w.full = &w.limits[i]
			position, _ := at.position(w)
			at.waiting = slices.Insert(at.waiting, position, w)
			return
		}
	}
	for _, l := range w.limits {
		s.slotsOf(l.Of).taken++
	}
	w.full = nil
	close(w.acquired)
}

// next returns the oldest waiter for which a slot of one of limits is free. It may lack
// another slot.
func (s *Semaphore) next(limits []Limit) (next *Waiter) {
	for _, l := range limits {
		at := s.slots[l.Of]
		if len(at.waiting) == 0 || at.taken >= at.waiting[0].full.Max {
			continue
		}
		if w := at.waiting[0]; next == nil || w.number < next.number {
			next = w
		}
	}
	return next
}

func (s *Semaphore) stopWaiting(w *Waiter) {
	at := s.slots[w.full.Of]
	i, _ := at.position(w)
	at.waiting = slices.Delete(at.waiting, i, i+1)
}

func (s *Semaphore) slotsOf(name string) *slots {
	at := s.slots[name]
	if at == nil {
		if s.slots == nil {
			s.slots = make(map[string]*slots)
		}
		at = new(slots)
		s.slots[name] = at
	}
	return at
}

// position returns the position of w among the waiters.
func (s *slots) position(w *Waiter) (int, bool) {
	return slices.BinarySearchFunc(s.waiting, w.number, func(x *Waiter, n int) int { return cmp.Compare(x.number, n) })
}
