package text

import (
	"fmt"
	"strings"
	"time"
)

// Count returns n with the noun in singular or plural: "1 mailbox", "2 mailboxes".
func Count[N int | int64](n N, noun string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(noun, "x"):
		noun += "es"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// Span returns d in one unit, rounded down: "90 minutes", "47 hours", "2 days". A negative
// duration counts as zero: clocks may be set back.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Minute:
		return Count(int64(d/time.Second), "second")
	case d < 2*time.Hour:
		return Count(int64(d/time.Minute), "minute")
	case d < 2*day:
		return Count(int64(d/time.Hour), "hour")
	}
	return Count(int64(d/day), "day")
}

// Since returns the distance of t from now in one unit: "5 minutes ago", "in 2 days".
func Since(t, now time.Time) string {
	d := t.Sub(now.Round(0)) // the wall clock: the monotonic clock stops during suspend
	switch {
	case d >= time.Minute:
		return "in " + Span(d)
	case d > 0:
		return "in less than a minute"
	case d > -time.Minute:
		return "just now"
	}
	return Span(-d) + " ago"
}

// Left returns the time from now until t in one unit: "14 minutes left".
func Left(t, now time.Time) string {
	d := t.Sub(now.Round(0))
	switch {
	case d <= 0:
		return "expired"
	case d < time.Minute:
		return "less than a minute left"
	}
	return Span(d) + " left"
}
