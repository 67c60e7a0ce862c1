package proxy

import (
	"container/heap"
	"container/list"
	"net/netip"
	"sync"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// noLimit admits a session however many there are.
const noLimit = 0

// maxParting is how many evicted sessions may be telling their clients why, where
// most sessions are allowed. The connection of one more is closed, so that the
// number of open connections is bounded whatever clients do.
func maxParting(most int) int { return 10 + most/10 }

// Connections returns how many clients may be connected at a time: those of
// sessions, and those of evicted sessions.
func (l Limits) Connections() int { return l.Sessions + maxParting(l.Sessions) }

// counts are the sessions that are there, before and after login.
type counts struct {
	mu       sync.Mutex
	sessions int
	preAuth  preAuth

	evicted int       // sessions that were, and have not ended
	parting list.List // of these, the *session whose connections are open, the oldest first
	ended   sync.Cond // an evicted session has ended; its L is set before use
}

// admit counts a session. At the limit it evicts a pre-auth session: one whose
// client has not shown the right password, or waits for a slot. It is the oldest of
// the source that has the most of them, so that a flood from one user or address
// evicts only its own connections. If that is s itself, admit returns false. An
// evicted session is not counted any more, and all that is done for it ends. The
// caller must call leave, in either case, when s has closed its connections.
func (c *counts) admit(s *session, most int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Evicted sessions whose connections are closed wait for nothing but a
	// processor. New ones must not take it from them.
	for most > 0 && c.evicted > 2*maxParting(most) {
		c.ended.L = &c.mu
		c.ended.Wait()
	}
	c.sessions++
	c.preAuth.add(s)
	counted := true
	if most > 0 && c.sessions > most {
		last := c.preAuth.oldest()
		counted = last != s
		c.evict(last, most)
		if counted {
			last.displaced.Store(true)
			last.end()
			last.client.Interrupt()
		}
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if counted && !s.displaced.Load() {
			c.preAuth.remove(s)
			c.sessions--
			return
		}
		if s.place != nil {
			c.parting.Remove(s.place)
		}
		c.evicted--
		c.ended.Broadcast()
	}, counted
}

// evict counts s as evicted, and closes the connection of the one that has been
// parting for the longest time, if there are too many.
func (c *counts) evict(s *session, most int) {
	c.preAuth.remove(s)
	c.sessions--
	c.evicted++
	s.place = c.parting.PushBack(s)
	if c.parting.Len() > maxParting(most) {
		oldest := c.parting.Remove(c.parting.Front()).(*session)
		oldest.place = nil
		oldest.client.Close()
	}
}

// comesFrom sets where the client of s is, which a load balancer passes on.
func (c *counts) comesFrom(s *session, from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	preAuth := s.group != nil
	c.preAuth.remove(s)
	s.from, s.source = from, peercred.SourceOfAddr(from)
	if preAuth {
		c.preAuth.add(s)
	}
}

// known makes s a session that is not evicted. It returns false if s has been
// evicted already.
func (c *counts) known(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.preAuth.remove(s)
	return !s.displaced.Load()
}

// unknown makes s, which was known, a pre-auth session again.
func (c *counts) unknown(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.preAuth.add(s)
}

// preAuth are all pre-auth sessions, by source.
type preAuth struct {
	groups  map[peercred.Source]*group
	largest largest
}

// A group is the pre-auth sessions of one source, the oldest first.
type group struct {
	source  peercred.Source
	members list.List // of *session
	index   int       // in preAuth.largest
}

func (p *preAuth) add(s *session) {
	g := p.groups[s.source]
	if g == nil {
		if p.groups == nil {
			p.groups = make(map[peercred.Source]*group)
		}
		g = &group{source: s.source}
		p.groups[s.source] = g
	}
	s.group, s.place = g, g.members.PushBack(s)
	if g.members.Len() == 1 {
		heap.Push(&p.largest, g)
	} else {
		heap.Fix(&p.largest, g.index)
	}
}

// remove takes s out, if it is in.
func (p *preAuth) remove(s *session) {
	g := s.group
	if g == nil {
		return
	}
	if g.members.Len() > 1 {
		g.members.Remove(s.place)
		heap.Fix(&p.largest, g.index)
	} else {
		heap.Remove(&p.largest, g.index)
		delete(p.groups, g.source)
	}
	s.group, s.place = nil, nil
}

// oldest returns the oldest session of the largest group. There must be one.
func (p *preAuth) oldest() *session { return p.largest[0].oldest() }

func (g *group) oldest() *session { return g.members.Front().Value.(*session) }

// largest is a heap of groups. Of two that are equally large, the one whose oldest
// member is older comes first.
type largest []*group

func (h largest) Len() int { return len(h) }

func (h largest) Less(i, j int) bool {
	if n, m := h[i].members.Len(), h[j].members.Len(); n != m {
		return n > m
	}
	return h[i].oldest().record.id < h[j].oldest().record.id
}

func (h largest) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *largest) Push(g any) {
	g.(*group).index = len(*h)
	*h = append(*h, g.(*group))
}

func (h *largest) Pop() any {
	last := len(*h) - 1
	g := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return g
}
