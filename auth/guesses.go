package auth

import (
	"context"
	"hash/maphash"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// How those are slowed who try passwords that are wrong.
const (
	// A source may fail so often before it has to wait, and one failure is forgiven
	// after so long. A program with an old password that tries once a minute is
	// never slowed.
	freeFailures = 3
	forgiveness  = 30 * time.Second

	// maxScore is the most that is held against a source, so that it is all
	// forgiven in five minutes.
	maxScore = 10

	// Answers to a source are so far apart at first, twice that with each further
	// failure, and at most so far.
	firstSpacing = 100 * time.Millisecond
	lastSpacing  = 5 * time.Second

	// nameSpacing is between answers for one user name, wherever the guesses come
	// from: there are 20 a second.
	nameSpacing = 50 * time.Millisecond

	// maxWait is the longest that an answer is withheld, and less than programs wait
	// for one. Who would have to wait longer is not heard.
	maxWait = 20 * time.Second

	maxSources = 10_000 // at 200 bytes
	nameSlots  = 1 << 10
)

// guesses slow down those who try wrong passwords, and nobody else: it is the
// answer to a wrong password that is withheld, until the slot that is reserved
// for it. A password that is right is answered as soon as it was hashed. Who
// hangs up without an answer has reserved the slot all the same. A source that has
// failed lately is refused unheard while its slots, or those of the user name, are
// taken for maxWait.
//
// Sources on this machine are never refused, as the rightful program may share
// them with the attacker. There each user name is a source of its own, and has 20
// answers a second, or what those can guess who wait for maxWait each.
type guesses struct {
	// Of what is hashed at one time there is one attempt of each source, half for
	// sources that failed lately, and one for each processor in all. So a flood
	// from one source has no more than one place in the queue, and however many
	// sources fail, others pass by them. They are channels because a client may
	// leave while it waits.
	turns, suspects chan struct{}

	seed maphash.Seed

	mu      sync.Mutex
	sources map[uint64]*source // by the hash of their origin
	// names has the next slot of each user name. Names that share one by chance
	// slow each other's wrong passwords, and no right one.
	names [nameSlots]time.Time
}

// An origin is where guesses come from: a network or, on this machine, whoever
// tries one user name.
type origin struct {
	network netip.Prefix
	name    string
}

// A source is what is known of an origin.
type source struct {
	turn  chan struct{}
	score float64   // of failures, at the time of the last
	last  time.Time // when that was
	next  time.Time // the next slot
}

func newGuesses() *guesses {
	n := runtime.GOMAXPROCS(0)
	return &guesses{
		turns:    make(chan struct{}, n),
		suspects: make(chan struct{}, max(1, n/2)),
		seed:     maphash.MakeSeed(),
		sources:  make(map[uint64]*source),
	}
}

// A guess is an attempt that may turn out to be one.
type guess struct {
	*guesses
	source *source
	local  bool
	next   *time.Time // slot of the user name
}

// begin returns the guess from an address, of a password for name.
func (g *guesses) begin(from netip.Addr, name string) *guess {
	from = from.Unmap()
	var o origin
	local := !from.IsValid() || from.IsLoopback()
	switch {
	case local:
		o.name = name
	case from.Is4():
		o.network = netip.PrefixFrom(from, 32)
	default:
		o.network, _ = from.Prefix(64)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := maphash.Comparable(g.seed, o)
	s := g.sources[key]
	if s == nil {
		if len(g.sources) >= maxSources {
			g.forget(time.Now())
		}
		s = &source{turn: make(chan struct{}, 1)}
		g.sources[key] = s
	}
	return &guess{g, s, local, &g.names[maphash.String(g.seed, name)%nameSlots]}
}

// forget makes room for a source: of some, taken at random, the one with the least
// score goes. So newcomers displace each other, not who has failed often. The
// caller holds mu.
func (g *guesses) forget(now time.Time) {
	const some = 8
	var least uint64
	n := 0
	for key, s := range g.sources {
		if n == 0 || s.at(now) < g.sources[least].at(now) {
			least = key
		}
		if n++; n == some {
			break
		}
	}
	delete(g.sources, least)
}

// at is the score at now.
func (s *source) at(now time.Time) float64 {
	return max(0, s.score-float64(now.Sub(s.last))/float64(forgiveness))
}

// enter waits for the guess's turn to be hashed. The caller must leave, unless
// there is an error: ErrGuesses, or that of ctx.
func (g *guess) enter(ctx context.Context) (leave func(), err error) {
	var held []chan struct{}
	leave = func() {
		for _, turn := range held {
			<-turn
		}
	}
	take := func(turn chan struct{}) {
		if err != nil {
			return
		}
		select {
		case turn <- struct{}{}:
			held = append(held, turn)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	take(g.source.turn)
	if g.suspect() {
		take(g.suspects)
	}
	if err == nil && g.refused() {
		err = ErrGuesses
	}
	take(g.turns)
	if err != nil {
		leave()
	}
	return leave, err
}

// suspect reports whether the source has failed lately.
func (g *guess) suspect() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.source.at(time.Now()) > 0
}

// refused reports whether the guess is not to be heard: the source has failed
// lately, and the next slot is too far away.
func (g *guess) refused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	far := g.source.next.Sub(now) > maxWait || g.next.Sub(now) > maxWait
	return far && g.source.at(now) > 0 && !g.local
}

// fail counts a wrong password, and withholds the answer until its slot, or ctx
// is done. It reports whether that took time.
func (g *guess) fail(ctx context.Context) bool {
	wait := g.reserve()
	if wait <= 0 {
		return false
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	return true
}

// reserve counts a wrong password, and returns how long it is until its slot.
func (g *guess) reserve() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, s := time.Now(), g.source
	s.score, s.last = min(s.at(now)+1, maxScore), now
	wait := slot(g.next, now, nameSpacing)
	if !g.local {
		wait = max(wait, slot(&s.next, now, spacing(s.score)))
	}
	return wait
}

// slot returns how long it is until next, and moves that on by spacing.
func slot(next *time.Time, now time.Time, spacing time.Duration) time.Duration {
	wait := min(max(0, next.Sub(now)), maxWait)
	*next = now.Add(wait + spacing)
	return wait
}

// spacing is between the answer to a source, which brings it to that score, and
// the next. A little of the score was forgiven already.
func spacing(score float64) time.Duration {
	if score <= freeFailures-1 {
		return 0
	}
	return min(firstSpacing<<int(score-(freeFailures-1)), lastSpacing)
}
