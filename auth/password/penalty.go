package password

import "time"

const (
	// freeFailures is the number of failures after which a source is delayed. The
	// throttle forgives one failure per forgiveness. A program that retries an old
	// password once a minute is never delayed.
	freeFailures = 3
	forgiveness  = 30 * time.Second

	// maxPoints limits the points of a source, so that all of them are forgiven
	// after five minutes.
	maxPoints = 10

	// firstDelay is the first delay between two passwords of a source. Each further
	// failure doubles the delay, up to lastDelay.
	firstDelay = 100 * time.Millisecond
	lastDelay  = 5 * time.Second

	// nameDelay is the delay between two passwords for one user name from all
	// delayed sources together: 20 a second.
	nameDelay = 50 * time.Millisecond
)

// A penalty counts failures, one point each, and forgives them over time. The zero
// value is a penalty without failures.
type penalty struct {
	points float64 // at the time of the last failure
	last   time.Time
}

// score returns the points that are left at now.
func (p *penalty) score(now time.Time) float64 {
	return max(0, p.points-float64(now.Sub(p.last))/float64(forgiveness))
}

func (p *penalty) addFailure(now time.Time) {
	p.points, p.last = min(p.score(now)+1, maxPoints), now
}

// delayed reports whether p has reached freeFailures. The score of consecutive
// failures is slightly lower than their number because forgiveness is continuous.
func (p *penalty) delayed(now time.Time) bool { return p.score(now) > freeFailures-1 }

// delay returns the delay that follows the last failure.
func (p *penalty) delay() time.Duration {
	if p.points <= freeFailures-1 {
		return 0
	}
	return min(firstDelay<<int(p.points-(freeFailures-1)), lastDelay)
}
