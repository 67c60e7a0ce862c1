package proxy

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Limits of the log lines of failed sessions in a window, of clients that have not shown a
// right password: accountFailures has the others. The other sessions of the window
// are counted, and summed up in one line for each kind of failure at its end.
const (
	repeatWindow = time.Minute
	maxRepeats   = 10  // for one kind of failure
	maxHostLines = 50  // for one host
	maxAllLines  = 500 // for all hosts
)

// A failureKind is what summed up sessions have in common.
type failureKind struct {
	protocol string
	result   Result
	client   string // host or local user
	user     string // user name
}

// repeats limits the log lines of failed sessions: a client that connects thousands of
// times a second must not fill the disk, or hide the lines of others. The zero value is
// ready to use.
type repeats struct {
	mu    sync.Mutex
	timer *time.Timer // ends the window; nil if there is no window
	begun time.Time
	kinds map[failureKind]*tally
	hosts map[string]int // lines of each host in this window
	all   int            // lines of all hosts
}

// A tally is one kind of failure in a window.
type tally struct {
	lines  int
	summed int    // sessions without a line
	why    string // error of the last one
}

// admit reports whether a failed session gets a log line of its own. Otherwise it is summed
// up in log at the end of the window.
func (r *repeats) admit(k failureKind, err error, log *slog.Logger) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil {
		r.begun, r.all = time.Now(), 0
		r.kinds, r.hosts = make(map[failureKind]*tally), make(map[string]int)
		r.timer = time.AfterFunc(repeatWindow, func() { r.flush(log) })
	}
	full := r.kinds[k] != nil && r.kinds[k].lines >= maxRepeats
	switch {
	case r.all >= maxAllLines && !full:
		k.client, k.user, full = "several hosts", "", true
	case r.hosts[k.client] >= maxHostLines && !full:
		k.user, full = "", true
	}
	kind := r.kinds[k]
	if kind == nil {
		kind = new(tally)
		r.kinds[k] = kind
	}
	if full {
		kind.summed++
		kind.why = logText(err)
		return false
	}
	kind.lines++
	r.hosts[k.client]++
	r.all++
	return true
}

// flush ends the window and logs its sums.
func (r *repeats) flush(log *slog.Logger) {
	kinds, window := r.endWindow()
	order := func(a, b failureKind) int {
		return cmp.Or(cmp.Compare(a.client, b.client), cmp.Compare(a.user, b.user),
			cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.result, b.result))
	}
	for _, k := range slices.SortedFunc(maps.Keys(kinds), order) {
		if kinds[k].summed > 0 {
			log.LogAttrs(context.Background(), k.result.Level(), "sessions summed up", kinds[k].attrs(k, window)...)
		}
	}
}

// endWindow ends the window and returns its tallies. The caller logs them without the lock: a
// blocked log must not block sessions.
func (r *repeats) endWindow() (kinds map[failureKind]*tally, window time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil {
		return nil, 0
	}
	r.timer.Stop()
	r.timer = nil
	return r.kinds, time.Since(r.begun)
}

func (t *tally) attrs(k failureKind, window time.Duration) []slog.Attr {
	return nonEmpty([]slog.Attr{
		slog.String("protocol", k.protocol),
		slog.String("result", string(k.result)),
		slog.String("client", k.client),
		slog.String("user", k.user),
		slog.String("error", t.why),
		slog.Int("sessions", t.summed),
		slog.Float64("seconds", seconds(window)),
	})
}
