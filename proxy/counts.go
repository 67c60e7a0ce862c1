package proxy

import (
	"container/heap"
	"container/list"
	"net/netip"
	"sync"
)

// maxLeaving is how many evicted sessions may still be telling their clients why.
// One more is closed without a word, so that the number of open connections is
// bounded whatever clients do.
const maxLeaving = 100

// noLimit lets a session in however many there are.
const noLimit = 0

// counts are the sessions that are there, logged in or not.
type counts struct {
	mu       sync.Mutex
	sessions int
	leaving  int // sessions that are not counted any more and have not ended
	crowds   crowds
}

// admit counts one more session. If there are most already, a stranger has to go,
// which is a session that has not shown a password yet, or not the right one, or
// waits for a place: who only connects and says nothing must not keep out who knows
// a password. It is the oldest of the largest crowd, so that a host that floods us
// displaces itself. If that is s, it returns false. It is not counted any more, so
// all that is done for it ends as well. The caller must call leave when s has
// closed its connections, in either case.
func (c *counts) admit(s *session, most int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions++
	c.crowds.add(s)
	counted := true
	if most > 0 && c.sessions > most {
		last := c.crowds.oldest()
		c.crowds.remove(last)
		c.sessions--
		c.leaving++
		if last == s {
			counted = false
		} else {
			last.displaced.Store(true)
			last.end()
			last.client.Interrupt()
		}
		if c.leaving > maxLeaving {
			last.client.Close()
		}
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !counted || s.displaced.Load() {
			c.leaving--
			return
		}
		c.crowds.remove(s)
		c.sessions--
	}, counted
}

// comesFrom says that the client of s, a stranger, is elsewhere than whoever
// connected.
func (c *counts) comesFrom(s *session, from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stranger := s.crowd != nil
	c.crowds.remove(s)
	s.from = from
	if stranger {
		c.crowds.add(s)
	}
}

// known says that s is no stranger any more. It returns false if that comes too
// late.
func (c *counts) known(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crowds.remove(s)
	return !s.displaced.Load()
}

// unknown says that s, which was known, is a stranger again.
func (c *counts) unknown(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crowds.add(s)
}

// A crowd are the strangers of one host, the oldest first.
type crowd struct {
	host    netip.Prefix
	members list.List // of *session
	index   int       // in crowds.largest
}

// crowds are all strangers.
type crowds struct {
	of      map[netip.Prefix]*crowd
	largest largest
}

func (c *crowds) add(s *session) {
	host := hostOf(s.from)
	k := c.of[host]
	if k == nil {
		if c.of == nil {
			c.of = make(map[netip.Prefix]*crowd)
		}
		k = &crowd{host: host}
		c.of[host] = k
	}
	s.crowd, s.place = k, k.members.PushBack(s)
	if k.members.Len() == 1 {
		heap.Push(&c.largest, k)
	} else {
		heap.Fix(&c.largest, k.index)
	}
}

// remove takes s out, if it is a stranger.
func (c *crowds) remove(s *session) {
	k := s.crowd
	if k == nil {
		return
	}
	if k.members.Len() > 1 {
		k.members.Remove(s.place)
		heap.Fix(&c.largest, k.index)
	} else {
		heap.Remove(&c.largest, k.index)
		delete(c.of, k.host)
	}
	s.crowd, s.place = nil, nil
}

// oldest is that of the largest crowd. There must be one.
func (c *crowds) oldest() *session { return c.largest[0].oldest() }

func (k *crowd) oldest() *session { return k.members.Front().Value.(*session) }

// largest is a heap of crowds. Of two that are equally large, that comes first
// whose oldest member is older.
type largest []*crowd

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

func (h *largest) Push(k any) {
	k.(*crowd).index = len(*h)
	*h = append(*h, k.(*crowd))
}

func (h *largest) Pop() any {
	last := len(*h) - 1
	k := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return k
}

// hostOf is what counts as one host: an address or, of IPv6, the 64 bits of a
// network, in which one host has as many addresses as it likes. It is the zero
// value for who has no address.
func hostOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	host, _ := a.Prefix(bits) // fails for no address, rightly
	return host
}
