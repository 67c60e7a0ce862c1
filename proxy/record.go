package proxy

import (
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A record is what is told of a session when it has ended.
type record struct {
	protocol string
	id       int64 // tells the lines of one session in a trace
	client   net.Addr
	start    time.Time

	user         string // what the client last tried to log in as
	account      string // which its password opened
	upstream     string
	upstreamUser string // who the account is there, unless its name says so
	ended        string // what ended the relay
	refused      int    // logins that were refused

	up, down             atomic.Int64 // octets relayed to the upstream, and to the client
	toUpstream, toClient prometheus.Counter
}

// sent counts n octets relayed to the upstream.
func (r *record) sent(n int) {
	r.up.Add(int64(n))
	r.toUpstream.Add(float64(n))
}

// received counts n octets relayed to the client.
func (r *record) received(n int) {
	r.down.Add(int64(n))
	r.toClient.Add(float64(n))
}

// result is how the session went that ended with err.
func (r *record) result(err error) Result {
	if err == nil {
		return OK
	}
	return failure(err).Result
}

// attrs are the one line that is logged of the session. Who only says a name
// may say anything, so it is cut.
func (r *record) attrs(err error) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("protocol", r.protocol),
		slog.Int64("id", r.id),
		slog.String("client", r.client.String()),
		slog.String("result", string(r.result(err))),
	}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if r.account != "" {
		text("account", r.account)
	} else {
		text("user", truncate(oneLine(r.user), 100))
	}
	if r.refused > 0 {
		attrs = append(attrs, slog.Int("refused", r.refused))
	}
	text("upstream", r.upstream)
	text("upstream_user", r.upstreamUser)
	text("ended", r.ended)
	if err != nil {
		text("why", reason(err))
		text("hint", Hint(err))
	}
	if p := (*panicked)(nil); errors.As(err, &p) {
		text("stack", p.where())
	}
	return append(attrs,
		slog.Int64("up", r.up.Load()),
		slog.Int64("down", r.down.Load()),
		slog.Float64("seconds", seconds(time.Since(r.start))))
}

// seconds rounds d to milliseconds, for reading.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
