package limit

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newConn returns a connection from an address; empty is a unix socket.
func newConn(from string) *Conn {
	address, _ := netip.ParseAddr(from)
	return &Conn{Source: peercred.SourceOfAddr(address), Evict: func() {}, Close: func() {}}
}

func TestEviction(t *testing.T) {
	for _, test := range []struct {
		name    string
		sources []string // of the connections, in order; "+" is an authenticated one
		evicted int      // index of the one that is evicted for the last, or that of the last
	}{
		{"the oldest, if all are from one address", []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"}, 0},
		{"the oldest, if each is from another", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, 0},
		{"the oldest of the source that has most", []string{"192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3"}, 1},
		{"the oldest of the source that has most with the last", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"}, 2},
		{"an IPv6 network is one source", []string{"192.0.2.1", "2001:db8::1", "2001:db8::2", "192.0.2.3"}, 1},
		{"two IPv6 networks are two sources", []string{"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:2::2"}, 2},
		{"connections without an address are of one source", []string{"192.0.2.1", "", "", "192.0.2.3"}, 1},
		{"not an authenticated one", []string{"192.0.2.1+", "192.0.2.1+", "192.0.2.2", "192.0.2.1"}, 2},
		{"the last, if all others are authenticated", []string{"192.0.2.1+", "192.0.2.1+", "192.0.2.2+", "192.0.2.1"}, 3},
	} {
		var l Conns
		var all []*Conn
		for i, from := range test.sources {
			from, authenticated := strings.CutSuffix(from, "+")
			c := newConn(from)
			if ok := l.Admit(c, 3); ok != (i != test.evicted || i < 3) {
				t.Errorf("%s: %d admitted: %v", test.name, i, ok)
			}
			if authenticated && !l.SetAuthenticated(c) {
				t.Errorf("%s: %d is evicted", test.name, i)
			}
			all = append(all, c)
		}
		for i, c := range all {
			if c.Evicted() != (i == test.evicted && i < 3) {
				t.Errorf("%s: %d evicted: %v", test.name, i, c.Evicted())
			}
		}
		if l.Len() != 3 {
			t.Errorf("%s: %d connections", test.name, l.Len())
		}
		for _, c := range all {
			l.Leave(c)
		}
		if l.Len() != 0 || l.evicted != 0 || len(l.preAuth.hosts) != 0 || len(l.preAuth.byCount) != 0 {
			t.Errorf("%s: left are %d, %d, %v", test.name, l.Len(), l.evicted, l.preAuth)
		}
	}
}

// TestSetSource checks that clients of a load balancer count by their own addresses.
func TestSetSource(t *testing.T) {
	var l Conns
	conns := make([]*Conn, 4)
	for i := range conns {
		conns[i] = newConn("192.0.2.7")
		if !l.Admit(conns[i], 3) {
			t.Fatal(i)
		}
		l.SetSource(conns[i], peercred.SourceOfAddr(netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", max(1, i)))))
	}
	if !conns[0].Evicted() {
		t.Error("the oldest of the source that has most is not evicted")
	}
	l.SetSource(conns[0], peercred.SourceOfAddr(netip.MustParseAddr("198.51.100.9"))) // too late
	if n := len(l.preAuth.hosts); n != 3 {
		t.Errorf("%d sources", n)
	}
}

// TestSetUnauthenticated checks that a connection whose login failed can be evicted again.
func TestSetUnauthenticated(t *testing.T) {
	var l Conns
	first, second := newConn("192.0.2.1"), newConn("192.0.2.1")
	l.Admit(first, 1)
	l.SetAuthenticated(first)
	if l.Admit(second, 1) {
		t.Error("an authenticated connection was evicted")
	}
	l.Leave(second)
	l.SetUnauthenticated(first)
	if !l.Admit(newConn("192.0.2.1"), 1) || !first.Evicted() {
		t.Error("an unauthenticated connection was not evicted")
	}
	if l.SetAuthenticated(first) {
		t.Error("an evicted connection is authenticated")
	}
}

// TestEvictedAreClosed checks that evicted connections that do not end are closed, so that
// their number is limited.
func TestEvictedAreClosed(t *testing.T) {
	var l Conns
	var all []*Conn
	closed := 0
	const most, come = 50, 50 + 2*15
	for i := range come {
		c := newConn("192.0.2.1")
		c.Close = func() { closed++ }
		if !l.Admit(c, most) {
			t.Fatal("not admitted", i)
		}
		all = append(all, c)
	}
	if n := l.parting.Len(); n != MaxEvicted(most) || closed != l.evicted-n {
		t.Errorf("%d evicted connections: %d are open, %d were closed", l.evicted, n, closed)
	}
	for _, c := range all {
		l.Leave(c)
	}
	if l.count != 0 || l.evicted != 0 || l.parting.Len() != 0 {
		t.Errorf("left are %d connections, %d evicted ones, %d of these open", l.count, l.evicted, l.parting.Len())
	}
}

// TestEvictedComeFirst checks that no connection is admitted while many evicted ones have
// not ended, and that one is when they have.
func TestEvictedComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Conns
		const most = 50
		all := make(chan *Conn, most+2*MaxEvicted(most)+2)
		go func() {
			defer close(all)
			for range cap(all) {
				c := newConn("192.0.2.1")
				l.Admit(c, most)
				all <- c
			}
		}()
		synctest.Wait()
		if n := len(all); n != cap(all)-1 {
			t.Fatalf("%d connections are admitted", n)
		}
		l.Leave(<-all)
		synctest.Wait()
		if n := len(all); n != cap(all)-1 {
			t.Errorf("one has ended, and %d are there", n)
		}
	})
}

// flood admits n unauthenticated connections from 502 addresses, at the limit max. An evicted
// connection leaves at once.
func flood(t *testing.T, l *Conns, evicted *[]*Conn, n, max int) {
	for i := range n {
		c := newConn(fmt.Sprintf("192.0.%d.%d", i/7%2, i%251))
		c.Evict = func() { *evicted = append(*evicted, c) }
		if !l.Admit(c, max) {
			t.Fatal("not admitted", i)
		}
		for _, e := range *evicted {
			l.Leave(e)
		}
		*evicted = nil
	}
}

// TestFloodIsFair checks that after a flood all addresses have as many connections.
func TestFloodIsFair(t *testing.T) {
	const n = 10000
	var l Conns
	flood(t, &l, new([]*Conn), 3*n, n)
	smallest, largest := n, 0
	for _, h := range l.preAuth.hosts {
		smallest, largest = min(smallest, h.conns.Len()), max(largest, h.conns.Len())
	}
	if l.count != n || largest-smallest > 1 {
		t.Errorf("%d connections, of %d to %d for each source", l.count, smallest, largest)
	}
}

// TestManyConnsCostLittle checks that an admission does not take longer in proportion to the
// number of connections.
func TestManyConnsCostLittle(t *testing.T) {
	cost := func(conns int) time.Duration {
		var l Conns
		var evicted []*Conn
		flood(t, &l, &evicted, conns, conns)
		fastest := time.Hour
		for range 10 { // other processes may run meanwhile
			start := time.Now()
			flood(t, &l, &evicted, 1000, conns)
			fastest = min(fastest, time.Since(start))
		}
		return fastest
	}
	few, many := cost(200), cost(20000)
	if many > 20*few {
		t.Errorf("1000 admissions take %v among 200 connections, and %v among 20,000", few, many)
	}
}
