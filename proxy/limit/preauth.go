package limit

import (
	"container/heap"
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// MaxEvicted returns how many evicted connections may be open, while their clients are told
// why, if at most max connections are admitted. One more is closed at once.
func MaxEvicted(max int) int { return 10 + max/10 }

// Conns counts the connections of clients, and limits them. At the limit it evicts the
// oldest unauthenticated connection of the source that has the most of these, so that a
// flood from one user or address evicts only its own connections. The zero value is ready
// to use.
type Conns struct {
	mu      sync.Mutex
	last    int64 // number of the last Conn
	count   int   // without evicted ones
	preAuth preAuth

	evicted int       // evicted connections whose session has not ended
	parting list.List // of these, the *Conn that are open, the oldest first
	ended   sync.Cond // an evicted connection's session has ended; its L is set before use
}

// A Conn is one connection in Conns.
type Conn struct {
	Source peercred.Source // where it comes from; must not be changed after Admit
	Evict  func()          // ends its session; called once, if at all, with Conns locked
	Close  func()          // closes it at once; called once, if at all, with Conns locked

	number  int64
	counted bool
	evicted atomic.Bool
	host    *hostConns    // while it is unauthenticated
	place   *list.Element // in host.conns or Conns.parting
}

// Evicted reports whether c was evicted after it had been admitted.
func (c *Conn) Evicted() bool { return c.evicted.Load() }

// Admit counts c as an unauthenticated connection. If there are more than max then, it
// evicts one; 0 is no limit. If that is c itself, Admit returns false. In either case the
// caller must call Leave when c is closed.
func (l *Conns) Admit(c *Conn, max int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Sessions whose connections are evicted and closed need only a processor to end. New
	// ones must not take it from them.
	for max > 0 && l.evicted > 2*MaxEvicted(max) {
		l.ended.L = &l.mu
		l.ended.Wait()
	}
	l.last++
	c.number, c.counted = l.last, true
	l.count++
	l.preAuth.add(c)
	if max <= 0 || l.count <= max {
		return true
	}
	oldest := l.preAuth.oldest()
	l.evict(oldest, max)
	if oldest == c {
		return false
	}
	oldest.evicted.Store(true)
	oldest.Evict()
	return true
}

// evict stops counting c. If too many evicted connections are open, it closes the one that
// was evicted first.
func (l *Conns) evict(c *Conn, max int) {
	l.preAuth.remove(c)
	l.count--
	c.counted = false
	l.evicted++
	c.place = l.parting.PushBack(c)
	if l.parting.Len() > MaxEvicted(max) {
		first := l.parting.Remove(l.parting.Front()).(*Conn)
		first.place = nil
		first.Close()
	}
}

// Leave stops counting c, whose session has ended.
func (l *Conns) Leave(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.counted {
		l.preAuth.remove(c)
		l.count--
		c.counted = false
		return
	}
	if c.place != nil {
		l.parting.Remove(c.place)
	}
	l.evicted--
	l.ended.Broadcast()
}

// SetSource changes the source of c to that in its PROXY header.
func (l *Conns) SetSource(c *Conn, source peercred.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	preAuth := c.host != nil
	l.preAuth.remove(c)
	c.Source = source
	if preAuth {
		l.preAuth.add(c)
	}
}

// SetAuthenticated makes c a connection that is not evicted. It returns false if c has been
// evicted already.
func (l *Conns) SetAuthenticated(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.preAuth.remove(c)
	return !c.evicted.Load()
}

// SetUnauthenticated reverts SetAuthenticated.
func (l *Conns) SetUnauthenticated(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.preAuth.add(c)
}

// Len returns the number of connections, without evicted ones.
func (l *Conns) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// preAuth are the unauthenticated connections, by source.
type preAuth struct {
	hosts   map[peercred.Source]*hostConns
	byCount byCount
}

// hostConns are the unauthenticated connections of one source, the oldest first.
type hostConns struct {
	source peercred.Source
	conns  list.List // of *Conn
	index  int       // in preAuth.byCount
}

func (p *preAuth) add(c *Conn) {
	h := p.hosts[c.Source]
	if h == nil {
		if p.hosts == nil {
			p.hosts = make(map[peercred.Source]*hostConns)
		}
		h = &hostConns{source: c.Source}
		p.hosts[c.Source] = h
	}
	c.host, c.place = h, h.conns.PushBack(c)
	if h.conns.Len() == 1 {
		heap.Push(&p.byCount, h)
	} else {
		heap.Fix(&p.byCount, h.index)
	}
}

// remove removes c, if it is unauthenticated.
func (p *preAuth) remove(c *Conn) {
	h := c.host
	if h == nil {
		return
	}
	if h.conns.Len() > 1 {
		h.conns.Remove(c.place)
		heap.Fix(&p.byCount, h.index)
	} else {
		heap.Remove(&p.byCount, h.index)
		delete(p.hosts, h.source)
	}
	c.host, c.place = nil, nil
}

// oldest returns the oldest connection of the source that has the most. There must be one.
func (p *preAuth) oldest() *Conn { return p.byCount[0].oldest() }

func (h *hostConns) oldest() *Conn { return h.conns.Front().Value.(*Conn) }

// byCount is a heap: the source with the most connections comes first. Of two with as many,
// the one with the older connection does.
type byCount []*hostConns

func (h byCount) Len() int { return len(h) }

func (h byCount) Less(i, j int) bool {
	if n, m := h[i].conns.Len(), h[j].conns.Len(); n != m {
		return n > m
	}
	return h[i].oldest().number < h[j].oldest().number
}

func (h byCount) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byCount) Push(x any) {
	host := x.(*hostConns)
	host.index = len(*h)
	*h = append(*h, host)
}

func (h *byCount) Pop() any {
	last := len(*h) - 1
	host := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return host
}
