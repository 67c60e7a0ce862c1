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

// Failed sessions have at most this many lines in the log in each window. The
// rest of the window's sessions are counted, and have one line for each kind of
// failure at its end.
const (
	repeatWindow = time.Minute
	maxRepeats   = 10  // for one kind of failure
	maxHostLines = 50  // for one host, of clients that have shown no right password
	maxAllLines  = 500 // for all hosts, of such clients
)

// A failureKind is what failed sessions have in common whose lines are summed up.
type failureKind struct {
	protocol string
	result   Result
	client   string // its host; empty if the kind is that of an account
	user     string // or the account, if one was named
	login    string // the label of the account's login
	account  bool   // the client has shown the password of an account
}

// repeats bounds how many lines failed sessions have in the log: a client that
// connects thousands of times a second must not fill the disk with them, or hide
// the lines of others. The zero value is ready to use.
type repeats struct {
	mu    sync.Mutex
	timer *time.Timer // ends the window; nil if none has begun
	begun time.Time
	kinds map[failureKind]*tally
	hosts map[string]int // lines of each host in this window
	all   int            // lines of all hosts
}

// A tally is one kind of failure in a window.
type tally struct {
	lines  int
	summed int    // sessions without a line
	why    string // the last one's error
}

// admit reports whether a session that failed is logged with a line of its own.
// Otherwise it is summed up in log at the end of the window.
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
	case k.account: // their number is bounded by the configuration
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
		kind.why = reason(err)
		return false
	}
	kind.lines++
	if !k.account {
		r.hosts[k.client]++
		r.all++
	}
	return true
}

// flush ends the window and logs what was summed up in it.
func (r *repeats) flush(log *slog.Logger) {
	kinds, window := r.end()
	order := func(a, b failureKind) int {
		return cmp.Or(cmp.Compare(a.client, b.client), cmp.Compare(a.user, b.user), cmp.Compare(a.login, b.login),
			cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.result, b.result))
	}
	for _, k := range slices.SortedFunc(maps.Keys(kinds), order) {
		if kinds[k].summed > 0 {
			log.LogAttrs(context.Background(), k.result.level(), "sessions summed up", kinds[k].attrs(k, window)...)
		}
	}
}

// end ends the window and returns what was in it. The caller logs it without the
// lock: a log that blocks must not block sessions.
func (r *repeats) end() (kinds map[failureKind]*tally, window time.Duration) {
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
	attrs := []slog.Attr{
		slog.String("protocol", k.protocol),
		slog.String("result", string(k.result)),
	}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("client", k.client)
	if k.account {
		text("account", k.user)
		text("login", k.login)
	} else {
		text("user", k.user)
	}
	text("why", t.why)
	return append(attrs, slog.Int("sessions", t.summed), slog.Float64("seconds", seconds(window)))
}
