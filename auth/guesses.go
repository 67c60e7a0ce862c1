package auth

import (
	"context"
	"hash/maphash"
	"net/netip"
	"runtime"
	"slices"
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

	// After that, looks at the passwords of a source are so far apart at first,
	// twice that with each further failure, and at most so far.
	firstSpacing = 100 * time.Millisecond
	lastSpacing  = 5 * time.Second

	// nameSpacing is between looks at passwords for one user name, of all sources
	// that must wait: there are 20 a second.
	nameSpacing = 50 * time.Millisecond

	maxSources = 10_000 // at 200 bytes
	nameLines  = 1 << 10
)

// guesses slow down those who try wrong passwords. Who has failed a few times must
// wait before the next password is looked at, whether that is right or not: were
// the answer withheld to wrong ones alone, then not being answered would be one.
// What was right before is recognized without a look, and never comes here.
//
// On this machine the rightful program may share its address with the attacker.
// There each user name is a source of its own, and has 20 looks a second.
type guesses struct {
	// Of what is hashed at one time there is one attempt of each source, half for
	// sources that failed lately, among which those of this machine count as one,
	// and one for each processor in all. So a flood from one source has no more
	// than one place in the line, and however many sources fail, others pass by
	// them.
	turns, suspects line

	seed maphash.Seed

	mu      sync.Mutex
	sources map[uint64]*source // by the hash of their origin
	machine score              // of all sources that are on this one

	// Names that share a line by chance slow each other's guesses.
	names [nameLines]line
}

// An origin is where guesses come from: a network or, on this machine, whoever
// tries one user name.
type origin struct {
	network netip.Prefix
	name    string
}

// A source is what is known of an origin.
type source struct {
	line
	score
}

// A score is of failures.
type score struct {
	points float64 // at the time of the last
	last   time.Time
}

// at is the score at now.
func (s *score) at(now time.Time) float64 {
	return max(0, s.points-float64(now.Sub(s.last))/float64(forgiveness))
}

func (s *score) add(now time.Time) {
	s.points, s.last = min(s.at(now)+1, maxScore), now
}

func newGuesses() *guesses {
	n := runtime.GOMAXPROCS(0)
	g := &guesses{
		turns:    line{turns: n},
		suspects: line{turns: max(1, n/2)},
		seed:     maphash.MakeSeed(),
		sources:  make(map[uint64]*source),
	}
	for i := range g.names {
		g.names[i].turns = 1
	}
	return g
}

// A guess is an attempt that may turn out to be one.
type guess struct {
	*guesses
	source *source
	local  bool
	name   *line
	slowed bool // it waits for the user name
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
		o.network, _ = from.Prefix(48) // which is what a site has, and so an attacker
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := maphash.Comparable(g.seed, o)
	s := g.sources[key]
	if s == nil {
		if len(g.sources) >= maxSources {
			g.forget(time.Now())
		}
		s = &source{line: line{turns: 1}}
		g.sources[key] = s
	}
	return &guess{guesses: g, source: s, local: local, name: &g.names[maphash.String(g.seed, name)%nameLines]}
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

// enter waits for the guess's turn to be looked at. The caller must leave, unless
// there is an error: ErrGuesses, or that of ctx.
func (g *guess) enter(ctx context.Context) (leave func(), err error) {
	var held []*line
	leave = func() {
		for _, l := range slices.Backward(held) {
			l.leave()
		}
	}
	take := func(l *line) {
		if err != nil {
			return
		}
		if err = l.enter(ctx); err == nil {
			held = append(held, l)
		}
	}
	take(&g.source.line)
	suspect := g.standing()
	if g.slowed {
		take(g.name)
	}
	if suspect {
		take(&g.suspects)
	}
	take(&g.turns)
	if err != nil {
		leave()
	}
	return leave, err
}

// standing reports whether the source has failed lately, and notes whether so often
// that it must wait for the user name.
func (g *guess) standing() (suspect bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	points := g.source.at(now)
	g.slowed = points > freeFailures-1
	return points > 0 || g.local && g.machine.at(now) > 0
}

// fail counts a wrong password. The guess must not have left.
func (g *guess) fail() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.source.add(now)
	if g.slowed {
		g.name.next = now.Add(nameSpacing)
	}
	if g.local {
		g.machine.add(now)
	} else {
		g.source.next = now.Add(spacing(g.source.points))
	}
}

// spacing is between the look that brings a source to that score, and the next. A
// little of the score was forgiven already.
func spacing(score float64) time.Duration {
	if score <= freeFailures-1 {
		return 0
	}
	return min(firstSpacing<<int(score-(freeFailures-1)), lastSpacing)
}
