package password

import "time"

const (
	// A source may fail so often before it is delayed, and one failure is forgiven
	// after so long. A program with an old password that tries once a minute is
	// never delayed.
	freeFailures = 3
	forgiveness  = 30 * time.Second

	// maxPoints is the most that is held against a source, so that all is forgiven
	// after five minutes.
	maxPoints = 10

	// The first delay between two passwords of a source. Each further failure doubles
	// it, up to the last.
	firstDelay = 100 * time.Millisecond
	lastDelay  = 5 * time.Second

	// nameDelay is between two passwords for one user name, of all sources that are
	// delayed: 20 a second.
	nameDelay = 50 * time.Millisecond
)

// A penalty counts failures and forgets them with time.
type penalty struct {
	points float64 // at the time of the last failure
	last   time.Time
}

func (p *penalty) at(now time.Time) float64 {
	return max(0, p.points-float64(now.Sub(p.last))/float64(forgiveness))
}

func (p *penalty) add(now time.Time) {
	p.points, p.last = min(p.at(now)+1, maxPoints), now
}

// delayed reports whether there were more failures than are free.
func (p *penalty) delayed(now time.Time) bool { return p.at(now) > freeFailures-1 }

// delay is that after a failure. A little may be forgiven already.
func (p *penalty) delay() time.Duration {
	if p.points <= freeFailures-1 {
		return 0
	}
	return min(firstDelay<<int(p.points-(freeFailures-1)), lastDelay)
}
