package daemon

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// maxHTTP limits the connections of each HTTP endpoint. It is lower if file descriptors
// are scarce. A browser opens six at a time, Prometheus one.
const maxHTTP = 64

// A connLimit limits the connections of an HTTP server. At the limit, a new connection
// evicts one of the source that has the most: the one that has been idle longest, or else
// the one whose handler has run longest. So a flood evicts its own connections.
type connLimit struct {
	most    int
	evicted prometheus.Counter
	peers   peercred.Finder

	mu    sync.Mutex
	conns map[*limitedConn]bool
}

// A limitedConn is one connection of a connLimit, which guards its fields.
type limitedConn struct {
	net.Conn
	limit  *connLimit
	source peercred.Source
	used   time.Time // when it was accepted, or a handler last began or ended
	busy   bool      // a handler runs
}

func newConnLimit(most int, evicted prometheus.Counter) *connLimit {
	return &connLimit{most: most, evicted: evicted, conns: make(map[*limitedConn]bool)}
}

// admit counts c, and evicts a connection if there are too many.
func (l *connLimit) admit(c net.Conn) *limitedConn {
	lc := &limitedConn{Conn: c, limit: l, source: l.peers.Source(c), used: time.Now()}
	if victim := l.add(lc); victim != nil {
		l.evicted.Inc()
		victim.Conn.Close()
	}
	return lc
}

// add counts c. At the limit it returns the connection to evict, which it does not count
// any more.
func (l *connLimit) add(c *limitedConn) (victim *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = true
	if len(l.conns) <= l.most {
		return nil
	}
	of := make(map[peercred.Source]int)
	for c := range l.conns {
		of[c.source]++
	}
	for c := range l.conns {
		if victim == nil || c.before(victim, of) {
			victim = c
		}
	}
	delete(l.conns, victim)
	return victim
}

// before reports whether c is evicted before d. of is the number of connections by source.
func (c *limitedConn) before(d *limitedConn, of map[peercred.Source]int) bool {
	switch n, m := of[c.source], of[d.source]; {
	case n != m:
		return n > m
	case c.busy != d.busy:
		return d.busy
	}
	return c.used.Before(d.used)
}

// Close closes the connection and stops counting it.
func (c *limitedConn) Close() error {
	c.limit.mu.Lock()
	delete(c.limit.conns, c)
	c.limit.mu.Unlock()
	return c.Conn.Close()
}

// NetConn returns the wrapped connection.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }

// serving marks the connection as busy until done is called.
func (c *limitedConn) serving() (done func()) {
	set := func(busy bool) {
		c.limit.mu.Lock()
		defer c.limit.mu.Unlock()
		c.used, c.busy = time.Now(), busy
	}
	set(true)
	return func() { set(false) }
}

// A limitedListener counts the connections of one of a server's listeners.
type limitedListener struct {
	net.Listener
	limit *connLimit
}

// Accept returns the next connection.
func (l limitedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.limit.admit(c), nil
}

// serving marks the connection of a request as busy until done is called.
func serving(r *http.Request) (done func()) {
	conn := r.Context().Value(connKey{})
	for {
		if c, ok := conn.(*limitedConn); ok {
			return c.serving()
		}
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return func() {}
		}
		conn = wrapper.NetConn()
	}
}
