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
	// So many attempts of a source wait at a time, and so many if it is delayed. The
	// newest beyond that are refused at once.
	maxWaiting        = 200
	maxDelayedWaiting = 4

	maxRecords = 10_000 // at 200 bytes
)

// An origin is where attempts come from that wait for each other.
type origin struct {
	host   string // an address, an IPv6 network, or a user of this machine
	local  bool   // on this machine, so that each user name is a source of its own
	likely bool   // the passwords are likely to be right: see recognize
}

// hostOf returns the host of a, and whether it is on this machine. A site has an IPv6
// network of 48 bits, and so may an attacker.
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

// A throttle decides when a password is hashed. As many are hashed at once as there
// are processors, and one of each source. Hosts take turns, and so do the sources of
// a host; within a source the oldest attempt is first. Hosts that failed lately come
// after the others, and use at most half of the processors.
//
// Attempts are delayed whether they are right or wrong. Otherwise no answer would mean
// that the password is wrong.
type throttle struct {
	seed maphash.Seed

	mu      sync.Mutex
	free    int    // processors
	suspect int    // of these, for hosts that failed lately
	clock   uint64 // counts attempts and turns
	records map[key]*record
	waiting []*attempt           // the oldest first
	names   map[uint64]time.Time // when the next delayed attempt for a user name is due
	timer   *time.Timer          // for the next attempt that is due
}

// A key is that of a host, if it has no user and is not likely, or of a source. At
// another machine, all user names are one source.
type key struct {
	host   string
	user   uint64 // hash of the user name
	likely bool
}

// A record is what is known of a host or source.
type record struct {
	key      key
	penalty            // never of a source of likely attempts
	next     time.Time // no attempt of the source is due before
	turn     uint64    // when it had the last or, if that is later, came to wait for one
	busy     bool      // an attempt of the source is hashed
	attempts int       // that wait or are hashed
}

// An attempt waits for its turn.
type attempt struct {
	host, source *record
	user         uint64
	delayed      bool // when its turn came, so was its source
	suspect      bool // and its host had failed lately
	turn         chan error
}

func newThrottle() *throttle {
	n := runtime.GOMAXPROCS(0)
	return &throttle{
		seed:    maphash.MakeSeed(),
		free:    n,
		suspect: max(1, n/2),
		records: make(map[key]*record),
		names:   make(map[uint64]time.Time),
	}
}

// wait returns when a password for a user name may be hashed. The caller must then
// call done. The error is ErrThrottled, or that of ctx.
func (t *throttle) wait(ctx context.Context, o origin, user string) (*attempt, error) {
	a := t.join(o, maphash.String(t.seed, user))
	select {
	case err := <-a.turn:
		return a, err
	case <-ctx.Done():
	}
	if t.leave(a) {
		return nil, ctx.Err()
	}
	if err := <-a.turn; err != nil {
		return nil, err
	}
	t.done(a, false) // the turn came too late
	return nil, ctx.Err()
}

func (t *throttle) join(o origin, user uint64) *attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	source := key{host: o.host, likely: o.likely}
	if o.local || o.likely {
		source.user = user
	}
	t.clock++
	a := &attempt{host: t.record(key{host: o.host}), source: t.record(source), user: user, turn: make(chan error, 1)}
	for _, r := range []*record{a.host, a.source} {
		if r.attempts++; r.attempts == 1 {
			r.turn = t.clock
		}
	}
	t.waiting = append(t.waiting, a)
	now := time.Now()
	t.trim(a.source, now)
	t.dispatch(now)
	return a
}

func (t *throttle) record(k key) *record {
	r := t.records[k]
	if r == nil {
		r = &record{key: k}
		t.records[k] = r
	}
	return r
}

// leave ends the waiting of a. It returns false if a had its turn, or was refused.
func (t *throttle) leave(a *attempt) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, a)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	t.release(a, time.Now())
	return true
}

// done ends the turn of a.
func (t *throttle) done(a *attempt, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	a.source.busy = false
	t.free++
	if a.suspect {
		t.suspect++
	}
	if failed {
		t.penalize(a, now)
	}
	t.release(a, now)
	t.dispatch(now)
}

// penalize counts a failure. It does not delay likely attempts: that would keep out the
// client whose password is right.
func (t *throttle) penalize(a *attempt, now time.Time) {
	a.host.add(now)
	s := a.source
	if s.key.likely {
		return
	}
	if s != a.host {
		s.add(now)
	}
	s.next = now.Add(s.delay())
	t.trim(s, now)
}

// trim refuses the newest attempts of s if too many wait.
func (t *throttle) trim(s *record, now time.Time) {
	left := maxWaiting
	if s.delayed(now) {
		left = maxDelayedWaiting
	}
	t.waiting = slices.DeleteFunc(t.waiting, func(a *attempt) bool {
		if a.source != s {
			return false
		}
		if left--; left >= 0 {
			return false
		}
		a.turn <- ErrThrottled
		t.release(a, now)
		return true
	})
}

// dispatch gives turns as long as there are free processors.
func (t *throttle) dispatch(now time.Time) {
	for t.free > 0 {
		i, due := t.pick(now)
		if i < 0 {
			t.wake(due)
			return
		}
		a := t.waiting[i]
		t.waiting = slices.Delete(t.waiting, i, i+1)
		a.delayed, a.suspect = a.source.delayed(now), a.host.at(now) > 0
		t.free--
		if a.suspect {
			t.suspect--
		}
		if a.delayed || a.source.key.likely {
			t.delayName(a.user, now)
		}
		t.clock++
		a.source.busy, a.source.turn, a.host.turn = true, t.clock, t.clock
		a.turn <- nil
	}
}

// wake has dispatch called at a time, unless that is zero.
func (t *throttle) wake(due time.Time) {
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

// pick returns whose turn it is, as an index of waiting. If it is nobody's, the index is
// -1, and due is when that changes with time, or zero.
func (t *throttle) pick(now time.Time) (best int, due time.Time) {
	best = -1
	for i, a := range t.waiting {
		at := a.source.next
		if name := t.names[a.user]; name.After(at) && (a.source.key.likely || a.source.delayed(now)) {
			at = name
		}
		switch {
		case a.source.busy, t.suspect == 0 && a.host.at(now) > 0:
		case at.After(now):
			if due.IsZero() || at.Before(due) {
				due = at
			}
		case best < 0 || a.before(t.waiting[best], now):
			best = i
		}
	}
	return best, due
}

// before reports whether a has its turn before b, which came first.
func (a *attempt) before(b *attempt, now time.Time) bool {
	bit := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(
		bit(a.host.at(now) > 0)-bit(b.host.at(now) > 0),
		cmp.Compare(a.host.turn, b.host.turn),
		bit(b.source.key.likely)-bit(a.source.key.likely),
		bit(a.source.at(now) > 0)-bit(b.source.at(now) > 0),
		cmp.Compare(a.source.turn, b.source.turn),
	) < 0
}

// delayName delays the next attempt for a user name. It forgets names whose delay is
// over.
func (t *throttle) delayName(user uint64, now time.Time) {
	maps.DeleteFunc(t.names, func(_ uint64, due time.Time) bool { return !due.After(now) })
	t.names[user] = now.Add(nameDelay)
}

// release forgets the records of a, which does not wait any more, if there is nothing
// in them. If there are too many records, it forgets those with the fewest points.
func (t *throttle) release(a *attempt, now time.Time) {
	a.host.attempts--
	a.source.attempts--
	idle := func(r *record) bool { return r.attempts == 0 }
	for _, r := range []*record{a.host, a.source} {
		if idle(r) && r.at(now) == 0 {
			delete(t.records, r.key)
		}
	}
	if len(t.records) <= maxRecords {
		return
	}
	all := slices.SortedFunc(maps.Values(t.records), func(a, b *record) int { return cmp.Compare(a.at(now), b.at(now)) })
	for i, r := range all {
		if idle(r) && (i < maxRecords/10 || r.at(now) == 0) {
			delete(t.records, r.key)
		}
	}
}
