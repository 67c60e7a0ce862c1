package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/proxy/peercred"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// stranger is a session of a client that has connected, and no more.
func stranger(id int64, from string) *session {
	s := &session{conn: unconnected{}, record: &record{id: id}, client: wire.New(unconnected{}, time.Minute), end: func() {}}
	s.from, _ = netip.ParseAddr(from) // none: a unix socket
	s.source = peercred.SourceOfAddr(s.from)
	return s
}

// unconnected is a connection that nothing is done with.
type unconnected struct{ net.Conn }

func (unconnected) RemoteAddr() net.Addr            { return &net.TCPAddr{} }
func (unconnected) Read([]byte) (int, error)        { return 0, os.ErrDeadlineExceeded }
func (unconnected) SetReadDeadline(time.Time) error { return nil }
func (unconnected) Close() error                    { return nil }

func TestWhoGivesWay(t *testing.T) {
	for _, test := range []struct {
		name  string
		come  []string // from where, one after the other; with a "+": and shows a password
		gives int      // which of them gives way to the last; the last: it is refused
	}{
		{"the oldest, if all are from one address", []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"}, 0},
		{"the oldest, if each is from another", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, 0},
		{"the oldest of the source that has most", []string{"192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3"}, 1},
		{"one of the source that has most with the newcomer", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"}, 2},
		{"a network of IPv6 is one host", []string{"192.0.2.1", "2001:db8::1", "2001:db8::2", "192.0.2.3"}, 1},
		{"two networks of IPv6 are two", []string{"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:2::2"}, 2},
		{"who has no address is of one source", []string{"192.0.2.1", "", "", "192.0.2.3"}, 1},
		{"nobody who showed a password", []string{"192.0.2.1+", "192.0.2.1+", "192.0.2.2", "192.0.2.1"}, 2},
		{"the newcomer, where all others showed one", []string{"192.0.2.1+", "192.0.2.1+", "192.0.2.2+", "192.0.2.1"}, 3},
	} {
		var c counts
		var all []*session
		var leave []func()
		for i, from := range test.come {
			from, knows := strings.CutSuffix(from, "+")
			s := stranger(int64(i), from)
			gone, ok := c.admit(s, 3)
			if ok != (i != test.gives || i < 3) {
				t.Errorf("%s: %d admitted: %v", test.name, i, ok)
			}
			if knows && !c.known(s) {
				t.Errorf("%s: %d is displaced", test.name, i)
			}
			if all = append(all, s); ok {
				leave = append(leave, gone)
			}
		}
		for i, s := range all {
			if s.displaced.Load() != (i == test.gives && i < 3) {
				t.Errorf("%s: %d displaced: %v", test.name, i, s.displaced.Load())
			}
		}
		if c.sessions != 3 {
			t.Errorf("%s: %d sessions", test.name, c.sessions)
		}
		for _, gone := range leave {
			gone()
		}
		if c.sessions != 0 || len(c.preAuth.groups) != 0 || len(c.preAuth.largest) != 0 {
			t.Errorf("%s: left are %d, %v", test.name, c.sessions, c.preAuth)
		}
	}
}

// Who comes through a load balancer counts by its own address.
func TestComesFrom(t *testing.T) {
	var c counts
	sessions := make([]*session, 4)
	for i := range sessions {
		sessions[i] = stranger(int64(i), "192.0.2.7")
		if _, ok := c.admit(sessions[i], 3); !ok {
			t.Fatal(i)
		}
		c.comesFrom(sessions[i], netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", max(1, i))))
	}
	if !sessions[0].displaced.Load() {
		t.Error("the oldest of the source that has most is still there")
	}
	c.comesFrom(sessions[0], netip.MustParseAddr("198.51.100.9")) // too late
	if n := len(c.preAuth.groups); n != 3 {
		t.Errorf("%d groups", n)
	}
}

// TestPartingIsBounded checks that evicted sessions that do not end are closed, so
// that they do not add up.
func TestPartingIsBounded(t *testing.T) {
	var c counts
	var leave []func()
	closed := 0
	const most, come = 50, 50 + 2*15
	for i := range come {
		s := stranger(int64(i), "192.0.2.1")
		s.client = wire.New(closing{unconnected{}, &closed}, time.Minute)
		gone, ok := c.admit(s, most)
		if !ok {
			t.Fatal("refused", i)
		}
		leave = append(leave, gone)
	}
	if n := c.parting.Len(); n != maxParting(most) || closed != c.evicted-n {
		t.Errorf("%d evicted sessions: %d are open, %d were closed", c.evicted, n, closed)
	}
	for _, gone := range leave {
		gone()
	}
	if c.sessions != 0 || c.evicted != 0 || c.parting.Len() != 0 {
		t.Errorf("left are %d sessions, %d evicted ones, %d of these open", c.sessions, c.evicted, c.parting.Len())
	}
}

// TestEvictedComeFirst checks that no session is admitted while many evicted ones
// have not ended, and that one is when they have.
func TestEvictedComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counts
		const most = 50
		var leave []func()
		admitted := make(chan bool)
		go func() {
			defer close(admitted)
			for i := range most + 2*maxParting(most) + 2 {
				gone, _ := c.admit(stranger(int64(i), "192.0.2.1"), most)
				leave = append(leave, gone)
				admitted <- true
			}
		}()
		for range most + 2*maxParting(most) + 1 {
			<-admitted
		}
		synctest.Wait()
		select {
		case <-admitted:
			t.Fatal("one more is admitted")
		default:
		}
		leave[0]()
		<-admitted
	})
}

// closing counts how often it is closed.
type closing struct {
	unconnected
	closed *int
}

func (c closing) Close() error { *c.closed++; return nil }

// Ten thousand strangers cost a newcomer nothing to speak of.
func TestTenThousandStrangers(t *testing.T) {
	const n = 10000
	var c counts
	start := time.Now()
	for i := range 3 * n {
		s := stranger(int64(i), fmt.Sprintf("192.0.%d.%d", i/7%2, i%251))
		var leave func()
		s.end = func() { go leave() } // when it is evicted
		var ok bool
		if leave, ok = c.admit(s, n); !ok {
			t.Fatal("refused", i)
		}
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	smallest, largest := n, 0
	for _, k := range c.preAuth.groups {
		smallest, largest = min(smallest, k.members.Len()), max(largest, k.members.Len())
	}
	if c.sessions != n || largest-smallest > 1 {
		t.Errorf("%d sessions, in groups of %d to %d", c.sessions, smallest, largest)
	}
}
