package proxy

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// A bound is a limit of the sessions that are logged in at a time, such as those of an
// account.
type bound struct {
	what string // "account joe@example.com"
	most int    // 0 is no limit
	by   string // key of the configuration
}

func (b *bound) Error() string {
	return fmt.Sprintf("session limit reached: %d for %s (%s)", b.most, b.what, b.by)
}

// A queue counts the sessions that are logged in, and lets authenticated sessions wait for
// a slot of each of their limits, first come, first served. A session that cannot go on
// does not block others: a device at the limit of its login must not delay the other logins
// of the account.
type queue struct {
	mu    sync.Mutex
	last  int               // number of the last waiter
	slots map[string]*slots // by what they are of
}

// slots are the slots of one limit.
type slots struct {
	taken   int
	waiting []*waiter // by number
}

// A waiter waits for, or has, a slot of each of its limits.
type waiter struct {
	number int
	bounds []bound
	in     chan struct{} // closed when it has its slots
	full   *bound        // the limit that it waits for; nil when it has its slots
}

// join returns a waiter, which has its slots or waits. A limit of 0 is no limit. The
// caller must call leave.
func (q *queue) join(bounds []bound) *waiter {
	bounds = slices.DeleteFunc(bounds, func(b bound) bool { return b.most <= 0 })
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	t := &waiter{number: q.last, bounds: bounds, in: make(chan struct{})}
	q.enter(t)
	return t
}

// full returns the limit that t waits for, or nil if it has its slots.
func (q *queue) full(t *waiter) *bound {
	q.mu.Lock()
	defer q.mu.Unlock()
	return t.full
}

// leave passes the slots of t to others, or ends its waiting.
func (q *queue) leave(t *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.full != nil {
		q.stopWaiting(t)
		return
	}
	for _, b := range t.bounds {
		q.slots[b.what].taken--
	}
	for next := q.next(t.bounds); next != nil; next = q.next(t.bounds) {
		q.stopWaiting(next)
		q.enter(next)
	}
	for _, b := range t.bounds {
		if q.slots[b.what].taken == 0 { // nothing waits then
			delete(q.slots, b.what)
		}
	}
}

// enter takes the slots of t, or lets it wait for the first one that is not free.
func (q *queue) enter(t *waiter) {
	for i, b := range t.bounds {
		if r := q.slots[b.what]; r != nil && r.taken >= b.most {
			t.full = &t.bounds[i]
			at, _ := r.find(t)
			r.waiting = slices.Insert(r.waiting, at, t)
			return
		}
	}
	for _, b := range t.bounds {
		q.slotsOf(b.what).taken++
	}
	t.full = nil
	close(t.in)
}

// next returns the oldest waiter that can now have a slot of one of bounds. Another slot
// may still be missing.
func (q *queue) next(bounds []bound) (next *waiter) {
	for _, b := range bounds {
		r := q.slots[b.what]
		if len(r.waiting) == 0 || r.taken >= r.waiting[0].full.most {
			continue
		}
		if t := r.waiting[0]; next == nil || t.number < next.number {
			next = t
		}
	}
	return next
}

func (q *queue) stopWaiting(t *waiter) {
	r := q.slots[t.full.what]
	i, _ := r.find(t)
	r.waiting = slices.Delete(r.waiting, i, i+1)
}

func (q *queue) slotsOf(what string) *slots {
	r := q.slots[what]
	if r == nil {
		if q.slots == nil {
			q.slots = make(map[string]*slots)
		}
		r = new(slots)
		q.slots[what] = r
	}
	return r
}

// find returns the position of t among the waiting ones.
func (r *slots) find(t *waiter) (int, bool) {
	return slices.BinarySearchFunc(r.waiting, t.number, func(w *waiter, n int) int { return cmp.Compare(w.number, n) })
}
