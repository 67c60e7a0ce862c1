package daemon

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// overloadRate limits the connections of one source in a second, while the listener is
// overloaded. So a flood cannot keep other sources out.
const overloadRate = 100

// refusalLogTime is the shortest time between two log lines of a rateLimit.
const refusalLogTime = time.Minute

// A rateLimit limits the connections of each source in a second at the overloaded listeners
// of one kind.
type rateLimit struct {
	name    string // of the listeners, in the log
	log     *slog.Logger
	refused prometheus.Counter

	mu       sync.Mutex
	second   time.Time // when the current one began
	begun    map[peercred.Source]int
	unlogged int
	logged   time.Time
}

func newRateLimit(name string, log *slog.Logger, refused prometheus.Counter) *rateLimit {
	return &rateLimit{name: name, log: log, refused: refused}
}

// refuse counts a connection of source, and reports whether it exceeds the limit.
func (r *rateLimit) refuse(source peercred.Source) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.second) >= time.Second {
		r.second, r.begun = now, make(map[peercred.Source]int)
	}
	r.begun[source]++
	if r.begun[source] <= overloadRate {
		return false
	}
	r.refused.Inc()
	r.unlogged++
	if r.logged.IsZero() || now.Sub(r.logged) >= refusalLogTime {
		r.log.Warn("connections refused", "listener", r.name, "client", source.String(), "connections", r.unlogged,
			"reason", fmt.Sprintf("connections come faster than they can be served, and this client begins more than %d a second", overloadRate))
		r.unlogged, r.logged = 0, now
	}
	return true
}
