package peercred

import (
	"net"
	"net/netip"
	"testing"
)

func TestSourceOfAddr(t *testing.T) {
	for _, test := range []struct {
		name, a, b string
		same       bool
	}{
		{"one address", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two addresses", "192.0.2.1", "192.0.2.2", false},
		{"one IPv6 network", "2001:db8::1", "2001:db8::2:3", true},
		{"two IPv6 networks", "2001:db8::1", "2001:db8:0:1::1", false},
		{"two loopback addresses", "127.0.0.1", "127.8.8.8", true},
		{"an IPv6 loopback address", "127.0.0.1", "::1", true},
		{"loopback and no address", "127.0.0.1", "", true},
		{"another machine", "192.0.2.1", "", false},
	} {
		a, _ := netip.ParseAddr(test.a)
		b, _ := netip.ParseAddr(test.b)
		if same := SourceOfAddr(a) == SourceOfAddr(b); same != test.same {
			t.Errorf("%s: %v", test.name, same)
		}
	}
}

func TestSourceString(t *testing.T) {
	for _, test := range []struct {
		source Source
		want   string
	}{
		{SourceOfAddr(netip.MustParseAddr("192.0.2.1")), "192.0.2.1"},
		{SourceOfAddr(netip.MustParseAddr("2001:db8::1")), "2001:db8::/64"},
		{Source{}, "this machine"},
		{SourceOfUser(1000), "user 1000 of this machine"},
	} {
		if got := test.source.String(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// A connWithAddr is a connection with a given remote address that is not a system
// socket.
type connWithAddr struct {
	net.Conn
	remote net.Addr
}

func (c connWithAddr) RemoteAddr() net.Addr { return c.remote }

func TestSource(t *testing.T) {
	f := new(Finder)
	c, _ := net.Pipe()
	if s := f.Source(c); s != (Source{}) {
		t.Errorf("a pipe: %+v", s)
	}
	other := connWithAddr{c, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}
	if s := f.Source(other); s != SourceOfAddr(netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("another machine: %+v", s)
	}
}
