package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// v2 returns a version 2 header with a command, a family, and the part after the
// length.
func v2(command, family byte, rest string) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{0x20 | command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const (
	v4Addresses   = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\x00\x03\xe1" // 192.0.2.1:1024
	v6Addresses   = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x04\x00\x03\xe1"
	someTLVs      = "\x02\x00\x09localhost" + "\x04\x00\x02\x00\x00"
	unixAddresses = "\x2frun\x2fmail"
)

// headers are valid headers with the client address that they contain.
var headers = []struct{ name, header, client string }{
	{"version 1", "PROXY TCP4 192.0.2.1 192.0.2.2 1024 993\r\n", "192.0.2.1:1024"},
	{"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1024 993\r\n", "[2001:db8::1]:1024"},
	{"version 1, unknown", "PROXY UNKNOWN\r\n", ""},
	{"version 1, unknown with addresses", "PROXY UNKNOWN ffff:f ffff:f 65535 65535\r\n", ""},
	{"version 1, loopback", "PROXY TCP4 127.0.0.1 127.0.0.1 1024 993\r\n", ""},
	{"version 1, IPv4 in IPv6", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1024 993\r\n", "192.0.2.1:1024"},
	{"version 2", v2(1, 0x11, v4Addresses), "192.0.2.1:1024"},
	{"version 2, IPv6", v2(1, 0x21, v6Addresses), "[2001:db8::1]:1024"},
	{"version 2, with TLVs", v2(1, 0x11, v4Addresses+someTLVs), "192.0.2.1:1024"},
	{"version 2, the longest", v2(1, 0x11, v4Addresses+strings.Repeat("x", 4096-len(v4Addresses))), "192.0.2.1:1024"},
	{"version 2, local", v2(0, 0x00, ""), ""},
	{"version 2, local with addresses", v2(0, 0x11, v4Addresses+someTLVs), ""},
	{"version 2, loopback", v2(1, 0x21, strings.Repeat("\x00", 15)+"\x01"+v6Addresses[16:]), ""},
	{"version 2, a unix socket", v2(1, 0x31, unixAddresses+strings.Repeat("\x00", 216-len(unixAddresses))), ""},
}

// ReadProxyHeader consumes exactly the header, in one segment with the following
// data or one octet at a time.
func TestReadProxyHeader(t *testing.T) {
	for _, test := range headers {
		for _, byOctet := range []bool{false, true} {
			var in io.Reader = strings.NewReader(test.header + "\x16\x03\x01 follows\r\n")
			if byOctet {
				in = iotest.OneByteReader(in)
			}
			c := New(&fakeConn{in: in}, time.Second)
			client, err := c.ReadProxyHeader()
			got := ""
			if client != nil {
				got = client.String()
			}
			if got != test.client || err != nil || c.octets != len(test.header) {
				t.Errorf("%s: %q, %v, %d octets", test.name, got, err, c.octets)
			}
			if begins, err := c.DetectTLS(time.Second); !begins || err != nil {
				t.Errorf("%s: the data after it does not begin TLS: %v", test.name, err)
			}
			if rest, err := io.ReadAll(c.in); string(rest) != "\x16\x03\x01 follows\r\n" || err != nil {
				t.Errorf("%s: followed by %q, %v", test.name, rest, err)
			}
		}
	}
}

// A loopback address is valid if the load balancer is on this machine.
func TestReadProxyHeaderLoopback(t *testing.T) {
	c := New(&fakeConn{in: strings.NewReader("PROXY TCP4 127.0.0.7 127.0.0.1 1024 993\r\n"), from: net.IPv6loopback}, time.Second)
	if client, err := c.ReadProxyHeader(); err != nil || client == nil || client.String() != "127.0.0.7:1024" {
		t.Errorf("%v, %v", client, err)
	}
}

func TestReadProxyHeaderInvalid(t *testing.T) {
	for _, test := range []struct {
		name, sent string
		want       error // nil for any Violation
	}{
		{"no header", "a LOGIN joe s3cret\r\n", ErrNoProxyHeader},
		{"TLS", "\x16\x03\x01\x02\x00", ErrNoProxyHeader},
		{"almost version 1", "PROX1", ErrNoProxyHeader},
		{"almost version 2", "\r\n\r\n\x00\r\nQUIT\r", ErrNoProxyHeader},
		{"an endless version 1 line", "PROXY TCP4 " + strings.Repeat("1", 1<<20), ErrNoProxyHeader},
		{"version 1 with a bare LF", "PROXY TCP4 192.0.2.1 192.0.2.2 1024 993\n", nil},
		{"version 1 of another protocol", "PROXY UDP4 192.0.2.1 192.0.2.2 1024 993\r\n", nil},
		{"version 1 with another address", "PROXY TCP4 2001:db8::1 192.0.2.2 1024 993\r\n", nil},
		{"version 1 with no address", "PROXY TCP4 localhost 192.0.2.2 1024 993\r\n", nil},
		{"version 1 with another port", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 993\r\n", nil},
		{"version 1 with more", "PROXY TCP4 192.0.2.1 192.0.2.2 1024 993 x\r\n", nil},
		{"version 1 without a space", "PROXYTCP4 192.0.2.1 192.0.2.2 1024 993\r\n", nil},
		{"version 2 of version 3", strings.Replace(v2(1, 0x11, v4Addresses), "\n\x21", "\n\x31", 1), nil},
		{"version 2, another command", v2(2, 0x11, v4Addresses), nil},
		{"version 2, a datagram", v2(1, 0x12, v4Addresses), nil},
		{"version 2, a unix datagram", v2(1, 0x32, strings.Repeat("\x00", 216)), nil},
		{"version 2, another family", v2(1, 0x41, v4Addresses), nil},
		{"version 2, no family", v2(1, 0x00, ""), nil},
		{"version 2, too short for its family", v2(1, 0x21, v4Addresses), nil},
		{"version 2 of 64 KiB", v2(1, 0x11, v4Addresses+strings.Repeat("x", 0xffff-len(v4Addresses))), nil},
		{"nothing", "", io.EOF},
		{"an end within a signature", "PRO", io.ErrUnexpectedEOF},
		{"an end within a line", "PROXY TCP4 192.0.2.1", io.ErrUnexpectedEOF},
		{"an end within the addresses", v2(1, 0x11, v4Addresses)[:20], io.ErrUnexpectedEOF},
		{"an end before the addresses", v2(1, 0x11, v4Addresses)[:16], io.ErrUnexpectedEOF},
	} {
		c := New(&fakeConn{in: strings.NewReader(test.sent)}, time.Second)
		client, err := c.ReadProxyHeader()
		var violation Violation
		if client != nil || (test.want != nil && !errors.Is(err, test.want)) || (test.want == nil && !errors.As(err, &violation)) {
			t.Errorf("%s: %v, %v", test.name, client, err)
		}
		if c.Printf("bye"); len(c.out) > 0 {
			t.Errorf("%s: the Conn sends %q", test.name, c.out)
		}
	}
}

// A header counts towards MaxOctets and must arrive within the timeout.
func TestProxyHeaderLimits(t *testing.T) {
	c := New(&fakeConn{in: strings.NewReader(headers[0].header)}, time.Second)
	c.octets = MaxOctets - len(headers[0].header) + 1
	if _, err := c.ReadProxyHeader(); err != ErrTooMuch {
		t.Error(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer ours.Close()
		defer peer.Close()
		runAlongside(t, func() { io.WriteString(peer, v2(1, 0x11, v4Addresses)[:20]) })
		start := time.Now()
		_, err := New(ours, 20*time.Second).ReadProxyHeader()
		if d := time.Since(start); d != 20*time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v after %v", err, d)
		}
	})
}

// FuzzReadProxyHeader checks that any input is read within limits, with the same
// result one octet at a time, and that data after a header remains.
func FuzzReadProxyHeader(f *testing.F) {
	for _, test := range headers {
		f.Add(test.header + "follows")
		f.Add(test.header[:len(test.header)-1])
	}
	f.Add(v2(1, 0x11, v4Addresses+strings.Repeat("x", 0xffff-len(v4Addresses))))
	f.Fuzz(func(t *testing.T, sent string) {
		read := func(in io.Reader) (client, rest string, octets int, failed bool) {
			c := New(&fakeConn{in: in}, time.Second)
			a, err := c.ReadProxyHeader()
			if err != nil {
				return "", "", 0, true
			}
			if a != nil {
				client = a.(*net.TCPAddr).String()
			}
			b, _ := io.ReadAll(c.in)
			return client, string(b), c.octets, false
		}
		client, rest, octets, failed := read(strings.NewReader(sent))
		if !failed && (rest != sent[octets:] || octets > 16+4096) {
			t.Errorf("%q: after %d octets follows %q", sent, octets, rest)
		}
		client2, rest2, _, failed2 := read(iotest.OneByteReader(strings.NewReader(sent)))
		if client != client2 || rest != rest2 || failed != failed2 {
			t.Errorf("%q: %s, %v; by octet: %s, %v", sent, client, failed, client2, failed2)
		}
	})
}
