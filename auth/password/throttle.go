package password

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// maxWaiting is the greatest number of waiting attempts of one source, and
	// maxDelayedWaiting that of a delayed source. The throttle refuses the newest
	// attempts above the limit.
	maxWaiting        = 200
	maxDelayedWaiting = 4

	// maxBuckets limits the memory of a throttle. A bucket takes about 200 bytes.
	maxBuckets = 10_000
)

// An origin describes where an attempt comes from. Together with the user name it
// determines the attempt's source.
type origin struct {
	host   string // an address, an IPv6 network, or a user of this machine
	local  bool   // the host is on this machine, where each user name is a separate source
	likely bool   // the password is likely to be correct: see Checker.cached
}

// hostOf returns the host of a and whether it is on this machine. All IPv6 addresses of
// a /48 network are one host, because one customer may own such a network.
func hostOf(a Attempt) (host string, local bool) {
	from := a.From.Unmap()
	switch {
	case a.HasUID:
		return fmt.Sprint("uid ", a.UID), true
	case !from.IsValid(), from.IsLoopback():
		return "this machine", true
	case from.Is4():
		return from.String(), false
	}
	site, _ := from.Prefix(48) // never fails for IPv6
	return site.String(), false
}

// A throttle schedules the computation of hashes. It has one slot for each processor,
// and each source uses at most one slot. Hosts take turns, and the sources of a host
// take turns. Within a source, the oldest attempt is first. Hosts with a penalty come
// after the others and use at most half of the slots.
//
// The throttle delays attempts with correct and with wrong passwords alike. Otherwise a
// missing reply would reveal that the password is wrong.
//
// A throttle may be used by several goroutines at once.
type throttle struct {
	seed maphash.Seed

	mu        sync.Mutex
	free      int    // free slots
	penalized int    // slots that hosts with a penalty may still use
	sequence  uint64 // number of attempts and turns so far
	buckets   map[key]*bucket
	waiting   []*waiter            // oldest first
	nameDue   map[uint64]time.Time // earliest time of the next delayed attempt, by user name
	timer     *time.Timer          // calls dispatch when the next delayed attempt is due
}

// A key identifies a host, if user is zero and likely is false, or a source. All
// attempts of a remote host are one source, whatever the user name, unless they are
// likely.
type key struct {
	host   string
	user   uint64 // hash of the user name
	likely bool
}

// A bucket holds the state of a host or source.
type bucket struct {
	key      key
	penalty            // always zero for a source of likely attempts
	next     time.Time // earliest time of the source's next attempt
	turn     uint64    // sequence number of the last turn, or of the first waiting attempt if that is later
	busy     bool      // an attempt of the source holds a slot
	attempts int       // number of attempts that wait or hold a slot
}

// A waiter is an attempt that waits for a slot or holds one.
type waiter struct {
	host, source *bucket
	user         uint64
	delayed      bool       // the source was delayed when the waiter got its slot
	penalized    bool       // the host had a penalty when the waiter got its slot
	ready        chan error // receives nil for a slot, or ErrThrottled
}

func newThrottle() *throttle {
	n := runtime.GOMAXPROCS(0)
	return &throttle{
		seed:      maphash.MakeSeed(),
		free:      n,
		penalized: max(1, n/2),
		buckets:   make(map[key]*bucket),
		nameDue:   make(map[uint64]time.Time),
	}
}

// acquire waits for a slot to hash a password for user. If err is nil, the caller must
// call release. The error is ErrThrottled or the error of ctx.
func (t *throttle) acquire(ctx context.Context, o origin, user string) (*waiter, error) {
	w := t.enqueue(o, maphash.String(t.seed, user))
	select {
	case err := <-w.ready:
		return w, err
	case <-ctx.Done():
	}
	if t.cancel(w) {
		return nil, ctx.Err()
	}
	if err := <-w.ready; err != nil {
		return nil, err
	}
	t.release(w, false) // the slot came after ctx was done
	return nil, ctx.Err()
}

func (t *throttle) enqueue(o origin, user uint64) *waiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	source := key{host: o.host, likely: o.likely}
	if o.local || o.likely {
		source.user = user
	}
	t.sequence++
	w := &waiter{host: t.bucket(key{host: o.host}), source: t.bucket(source), user: user, ready: make(chan error, 1)}
	for _, b := range []*bucket{w.host, w.source} {
		if b.attempts++; b.attempts == 1 {
			b.turn = t.sequence
		}
	}
	t.waiting = append(t.waiting, w)
	now := time.Now()
	t.refuseExcess(w.source, now)
	t.dispatch(now)
	return w
}

// bucket returns the bucket of k. It adds one if there is none.
func (t *throttle) bucket(k key) *bucket {
	b := t.buckets[k]
	if b == nil {
		b = &bucket{key: k}
		t.buckets[k] = b
	}
	return b
}

// cancel removes w from the queue. It returns false if w already has a slot or was
// refused.
func (t *throttle) cancel(w *waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, w)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	t.leave(w, time.Now())
	return true
}

// release returns the slot of w. If failed, the password was wrong or not allowed.
func (t *throttle) release(w *waiter, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	w.source.busy = false
	t.free++
	if w.penalized {
		t.penalized++
	}
	if failed {
		t.penalize(w, now)
	}
	t.leave(w, now)
	t.dispatch(now)
}

// penalize counts a failure of w. A failure of a likely attempt counts only against the
// host: a delay of the source would lock out the client with the correct password.
func (t *throttle) penalize(w *waiter, now time.Time) {
	w.host.addFailure(now)
	s := w.source
	if s.key.likely {
		return
	}
	if s != w.host {
		s.addFailure(now)
	}
	s.next = now.Add(s.delay())
	t.refuseExcess(s, now)
}

// refuseExcess refuses the newest waiting attempts of s above its limit.
func (t *throttle) refuseExcess(s *bucket, now time.Time) {
	left := maxWaiting
	if s.delayed(now) {
		left = maxDelayedWaiting
	}
	t.waiting = slices.DeleteFunc(t.waiting, func(w *waiter) bool {
		if w.source != s {
			return false
		}
		if left--; left >= 0 {
			return false
		}
		w.ready <- ErrThrottled
		t.leave(w, now)
		return true
	})
}

// dispatch gives the free slots to waiters.
func (t *throttle) dispatch(now time.Time) {
	for t.free > 0 {
		i, due := t.next(now)
		if i < 0 {
			t.dispatchAt(due)
			return
		}
		w := t.waiting[i]
		t.waiting = slices.Delete(t.waiting, i, i+1)
		w.delayed, w.penalized = w.source.delayed(now), w.host.score(now) > 0
		t.free--
		if w.penalized {
			t.penalized--
		}
		if w.delayed || w.source.key.likely {
			t.delayName(w.user, now)
		}
		t.sequence++
		w.source.busy, w.source.turn, w.host.turn = true, t.sequence, t.sequence
		w.ready <- nil
	}
}

// dispatchAt sets the timer to call dispatch at due. A zero due stops the timer.
func (t *throttle) dispatchAt(due time.Time) {
	if t.timer != nil {
		t.timer.Stop()
	}
	if !due.IsZero() {
		t.timer = time.AfterFunc(time.Until(due), func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.dispatch(time.Now())
		})
	}
}

// next returns the index in waiting of the attempt that gets the next slot. If no
// attempt may get one now, best is -1, and due is the time at which a delay ends, or
// zero if no attempt waits for its delay.
func (t *throttle) next(now time.Time) (best int, due time.Time) {
	best = -1
	for i, w := range t.waiting {
		at := w.source.next
		if name := t.nameDue[w.user]; name.After(at) && (w.source.key.likely || w.source.delayed(now)) {
			at = name
		}
		switch {
		case w.source.busy, t.penalized == 0 && w.host.score(now) > 0:
		case at.After(now):
			if due.IsZero() || at.Before(due) {
				due = at
			}
		case best < 0 || w.before(t.waiting[best], now):
			best = i
		}
	}
	return best, due
}

// before reports whether w gets a slot before v, which is older.
func (w *waiter) before(v *waiter, now time.Time) bool {
	bit := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(
		bit(w.host.score(now) > 0)-bit(v.host.score(now) > 0),
		cmp.Compare(w.host.turn, v.host.turn),
		bit(v.source.key.likely)-bit(w.source.key.likely),
		bit(w.source.score(now) > 0)-bit(v.source.score(now) > 0),
		cmp.Compare(w.source.turn, v.source.turn),
	) < 0
}

// delayName delays the next attempt for a user name. It also removes the names whose
// delay has ended.
func (t *throttle) delayName(user uint64, now time.Time) {
	maps.DeleteFunc(t.nameDue, func(_ uint64, due time.Time) bool { return !due.After(now) })
	t.nameDue[user] = now.Add(nameDelay)
}

// leave updates the buckets of w, which neither waits nor holds a slot any more, and
// removes empty ones. Above maxBuckets, it removes the buckets with the lowest score.
func (t *throttle) leave(w *waiter, now time.Time) {
	w.host.attempts--
	w.source.attempts--
	idle := func(b *bucket) bool { return b.attempts == 0 }
	for _, b := range []*bucket{w.host, w.source} {
		if idle(b) && b.score(now) == 0 {
			delete(t.buckets, b.key)
		}
	}
	if len(t.buckets) <= maxBuckets {
		return
	}
	all := slices.SortedFunc(maps.Values(t.buckets), func(a, b *bucket) int { return cmp.Compare(a.score(now), b.score(now)) })
	for i, b := range all {
		if idle(b) && (i < maxBuckets/10 || b.score(now) == 0) {
			delete(t.buckets, b.key)
		}
	}
}
