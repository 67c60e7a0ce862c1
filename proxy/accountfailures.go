package proxy

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// The first failure of an account for a reason is logged at once. Later ones are counted and
// summed up in one line, for the first time after firstSummary, then each summaryInterval.
const (
	firstSummary    = 10 * time.Minute
	summaryInterval = time.Hour
)

// A failureReason is what the failures that are summed up have in common.
type failureReason struct {
	protocol, account, login string

	result Result
	cause  string // the first clause of the hint, without what differs from attempt to attempt
}

// accountFailures limits the log lines of accounts that keep failing: a program that tries
// every minute, for weeks, must not hide the lines of others. The zero value is ready to use.
type accountFailures struct {
	mu     sync.Mutex
	counts map[failureReason]*failureCount
}

// A failureCount counts the failures for one reason.
type failureCount struct {
	since    time.Time   // the first one
	sessions int         // since the last line
	why      string      // error of the last one
	timer    *time.Timer // for the next line
}

// newFailureReason returns the reason of err for the login of r.
func newFailureReason(r *sessionRecord, err error) failureReason {
	cause, _, _ := strings.Cut(Hint(err), ": ")
	return failureReason{r.protocol, r.account, r.login, r.result(err), cause}
}

// count counts a failed session. It returns true for the first one, which the caller logs.
func (a *accountFailures) count(reason failureReason, err error, log *slog.Logger) (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.counts[reason]; c != nil {
		c.sessions++
		c.why = logText(err)
		return false
	}
	if a.counts == nil {
		a.counts = make(map[failureReason]*failureCount)
	}
	c := &failureCount{since: time.Now()}
	c.timer = time.AfterFunc(firstSummary, func() { a.sumUp(reason, c, log) })
	a.counts[reason] = c
	return true
}

// sumUp logs what c has counted. If that is nothing, the next failure is a first one.
func (a *accountFailures) sumUp(reason failureReason, c *failureCount, log *slog.Logger) {
	a.mu.Lock()
	sum := *c
	switch {
	case a.counts[reason] != c: // reset
		a.mu.Unlock()
		return
	case c.sessions == 0:
		delete(a.counts, reason)
	default:
		c.sessions = 0
		c.timer.Reset(summaryInterval)
	}
	a.mu.Unlock() // a blocked log must not block sessions
	if sum.sessions == 0 {
		return
	}
	next := time.Now().Add(summaryInterval)
	log.LogAttrs(context.Background(), reason.result.Level(), "account still failing", sum.attrs(reason, next)...)
}

// attrs returns the attributes of the sum. next is when the next one comes; zero if none
// does.
func (c *failureCount) attrs(reason failureReason, next time.Time) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("protocol", reason.protocol),
		slog.String("result", string(reason.result)),
		slog.String("account", reason.account),
		slog.String("login", reason.login),
		slog.String("error", c.why),
		slog.Int("sessions", c.sessions),
		slog.Time("since", c.since.UTC().Round(0)),
	}
	if !next.IsZero() {
		attrs = append(attrs, slog.Time("next", next.UTC().Round(0)))
	}
	return nonEmpty(attrs)
}

// succeeded ends the failures of a login that the upstream has accepted, so that the next one
// is logged at once. A limit of sessions is not ended by a session within it.
func (a *accountFailures) succeeded(r *sessionRecord, log *slog.Logger) {
	ended := a.reset(func(f failureReason) bool {
		return f.protocol == r.protocol && f.account == r.account && f.login == r.login && f.result != TooManySessions
	})
	for reason, c := range ended {
		log.LogAttrs(context.Background(), slog.LevelInfo, "account failures ended", c.attrs(reason, time.Time{})...)
	}
}

// flush logs all sums, when xoauthd stops.
func (a *accountFailures) flush(log *slog.Logger) {
	for reason, c := range a.reset(func(failureReason) bool { return true }) {
		log.LogAttrs(context.Background(), reason.result.Level(), "account still failing", c.attrs(reason, time.Time{})...)
	}
}

// reset removes the failures that match. It returns those that no line has counted yet.
func (a *accountFailures) reset(match func(failureReason) bool) map[failureReason]*failureCount {
	ended := make(map[failureReason]*failureCount)
	a.mu.Lock()
	defer a.mu.Unlock()
	for reason, c := range a.counts {
		if match(reason) {
			c.timer.Stop()
			delete(a.counts, reason)
			if c.sessions > 0 {
				ended[reason] = c
			}
		}
	}
	return ended
}
