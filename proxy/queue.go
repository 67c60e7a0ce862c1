package proxy

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// A bound is how many of the sessions that have something in common may be
// logged in at a time.
type bound struct {
	what string // they have in common: "account joe@example.com"
	most int
	by   string // the key of the configuration that says so
}

func (b *bound) Error() string {
	return fmt.Sprintf("%d sessions are the most for %s (%s)", b.most, b.what, b.by)
}

// A queue has the sessions that are logged in, and those that wait until they
// may be: who knows a password, but has no place yet in each of its bounds.
// First come is first served among those that can go. One that cannot keeps
// nobody back: a device that wants more than its login may have must not hold up
// the account's other logins.
type queue struct {
	mu    sync.Mutex
	last  int // the number of who came last
	rooms map[string]*room
}

// A room has a place for each session of one bound.
type room struct {
	taken   int
	waiting []*ticket // for a place here, by number
}

// A ticket is for a place in each of bounds.
type ticket struct {
	number int
	bounds []bound
	in     chan struct{} // closed when it has its places
	full   *bound        // where it waits; nil when it is in
}

// join returns a ticket, which is in, or waits. A bound of 0 is none. The caller
// must have the ticket leave.
func (q *queue) join(bounds []bound) *ticket {
	bounds = slices.DeleteFunc(bounds, func(b bound) bool { return b.most <= 0 })
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	t := &ticket{number: q.last, bounds: bounds, in: make(chan struct{})}
	q.enter(t)
	return t
}

// full is the bound that t waits for, or nil if it is in.
func (q *queue) full(t *ticket) *bound {
	q.mu.Lock()
	defer q.mu.Unlock()
	return t.full
}

// leave gives the places of t to those that wait for them, or ends its waiting.
func (q *queue) leave(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.full != nil {
		q.stopWaiting(t)
		return
	}
	for _, b := range t.bounds {
		q.rooms[b.what].taken--
	}
	for next := q.next(t.bounds); next != nil; next = q.next(t.bounds) {
		q.stopWaiting(next)
		q.enter(next)
	}
	for _, b := range t.bounds {
		if q.rooms[b.what].taken == 0 { // then nobody waits either
			delete(q.rooms, b.what)
		}
	}
}

// enter takes the places of t, or has it wait for the first that is not there.
func (q *queue) enter(t *ticket) {
	for i, b := range t.bounds {
		if r := q.rooms[b.what]; r != nil && r.taken >= b.most {
			t.full = &t.bounds[i]
			at, _ := r.find(t)
			r.waiting = slices.Insert(r.waiting, at, t)
			return
		}
	}
	for _, b := range t.bounds {
		q.room(b.what).taken++
	}
	t.full = nil
	close(t.in)
}

// next is who has waited longest of those that could now have a place in one of
// bounds. It may lack another.
func (q *queue) next(bounds []bound) (next *ticket) {
	for _, b := range bounds {
		r := q.rooms[b.what]
		if len(r.waiting) == 0 || r.taken >= r.waiting[0].full.most {
			continue
		}
		if t := r.waiting[0]; next == nil || t.number < next.number {
			next = t
		}
	}
	return next
}

func (q *queue) stopWaiting(t *ticket) {
	r := q.rooms[t.full.what]
	i, _ := r.find(t)
	r.waiting = slices.Delete(r.waiting, i, i+1)
}

func (q *queue) room(what string) *room {
	r := q.rooms[what]
	if r == nil {
		if q.rooms == nil {
			q.rooms = make(map[string]*room)
		}
		r = new(room)
		q.rooms[what] = r
	}
	return r
}

// find returns where t is among those that wait, or would be.
func (r *room) find(t *ticket) (int, bool) {
	return slices.BinarySearchFunc(r.waiting, t.number, func(w *ticket, n int) int { return cmp.Compare(w.number, n) })
}
