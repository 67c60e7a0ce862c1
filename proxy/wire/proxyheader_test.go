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

// v2 is a header of version 2: command, family, and what follows its length.
func v2(command, family byte, rest string) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{0x20 | command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const (
	v4Addresses   = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x04\x00\x03\xe1" // 192.0.2.1:1024
	v6Addresses   = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x04\x00\x03\xe1"
	someTLVs      = "\x02\x00\x09localhost" + "\x04\x00\x02\x00\x00"
	unixAddresses = "\x2frun\x2fmail"
)

// headers are those that are good, and whose connection they say it is.
var headers = []struct{ name, header, client string }{
	{"version 1", "PROXY TCP4 192.0.2.1 192.0.2.2 1024 993\r\n", "192.0.2.1:1024"},
	{"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1024 993\r\n", "[2001:db8::1]:1024"},
	{"version 1, unknown", "PROXY UNKNOWN\r\n", ""},
	{"version 1, unknown with something", "PROXY UNKNOWN ffff:f ffff:f 65535 65535\r\n", ""},
	{"version 1, loopback", "PROXY TCP4 127.0.0.1 127.0.0.1 1024 993\r\n", ""},
	{"version 1, IPv4 in IPv6", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1024 993\r\n", "192.0.2.1:1024"},
	{"version 2", v2(1, 0x11, v4Addresses), "192.0.2.1:1024"},
	{"version 2, IPv6", v2(1, 0x21, v6Addresses), "[2001:db8::1]:1024"},
	{"version 2, more to say", v2(1, 0x11, v4Addresses+someTLVs), "192.0.2.1:1024"},
	{"version 2, as much as may be", v2(1, 0x11, v4Addresses+strings.Repeat("x", 4096-len(v4Addresses))), "192.0.2.1:1024"},
	{"version 2, local", v2(0, 0x00, ""), ""},
	{"version 2, local with something", v2(0, 0x11, v4Addresses+someTLVs), ""},
	{"version 2, loopback", v2(1, 0x21, strings.Repeat("\x00", 15)+"\x01"+v6Addresses[16:]), ""},
	{"version 2, a unix socket", v2(1, 0x31, unixAddresses+strings.Repeat("\x00", 216-len(unixAddresses))), ""},
}

// A header is read to its end and no further, in one segment with what follows or
// an octet at a time.
func TestReadProxyHeader(t *testing.T) {
	for _, test := range headers {
		for _, slowly := range []bool{false, true} {
			var in io.Reader = strings.NewReader(test.header + "\x16\x03\x01 is behind\r\n")
			if slowly {
				in = iotest.OneByteReader(in)
			}
			c := New(&tape{in: in}, time.Second)
			client, err := c.ReadProxyHeader()
			got := ""
			if client != nil {
				got = client.String()
			}
			if got != test.client || err != nil || c.octets != len(test.header) {
				t.Errorf("%s: %q, %v, %d octets", test.name, got, err, c.octets)
			}
			if begins, err := c.BeginsTLS(time.Second); !begins || err != nil {
				t.Errorf("%s: what is behind it does not begin TLS: %v", test.name, err)
			}
			if rest, err := io.ReadAll(c.in); string(rest) != "\x16\x03\x01 is behind\r\n" || err != nil {
				t.Errorf("%s: behind it is %q, %v", test.name, rest, err)
			}
		}
	}
}

// A loopback address is one of this machine if the load balancer is on it.
func TestReadProxyHeaderFromHere(t *testing.T) {
	c := New(&tape{in: strings.NewReader("PROXY TCP4 127.0.0.7 127.0.0.1 1024 993\r\n"), from: net.IPv6loopback}, time.Second)
	if client, err := c.ReadProxyHeader(); err != nil || client == nil || client.String() != "127.0.0.7:1024" {
		t.Errorf("%v, %v", client, err)
	}
}

func TestReadProxyHeaderRefuses(t *testing.T) {
	for _, test := range []struct {
		name, said string
		want       error // nil for any Violation
	}{
		{"no header", "a LOGIN joe s3cret\r\n", ErrNoProxy},
		{"TLS", "\x16\x03\x01\x02\x00", ErrNoProxy},
		{"nearly version 1", "PROX1", ErrNoProxy},
		{"nearly version 2", "\r\n\r\n\x00\r\nQUIT\r", ErrNoProxy},
		{"a line of version 1 without end", "PROXY TCP4 " + strings.Repeat("1", 1<<20), ErrNoProxy},
		{"version 1 with a bare LF", "PROXY TCP4 192.0.2.1 192.0.2.2 1024 993\n", nil},
		{"version 1 of another protocol", "PROXY UDP4 192.0.2.1 192.0.2.2 1024 993\r\n", nil},
		{"version 1 with another address", "PROXY TCP4 2001:db8::1 192.0.2.2 1024 993\r\n", nil},
		{"version 1 with no address", "PROXY TCP4 localhost 192.0.2.2 1024 993\r\n", nil},
		{"version 1 with another port", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 993\r\n", nil},
		{"version 1 with more", "PROXY TCP4 192.0.2.1 192.0.2.2 1024 993 x\r\n", nil},
		{"version 1 glued", "PROXYTCP4 192.0.2.1 192.0.2.2 1024 993\r\n", nil},
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
		c := New(&tape{in: strings.NewReader(test.said)}, time.Second)
		client, err := c.ReadProxyHeader()
		var violation Violation
		if client != nil || (test.want != nil && !errors.Is(err, test.want)) || (test.want == nil && !errors.As(err, &violation)) {
			t.Errorf("%s: %v, %v", test.name, client, err)
		}
		if c.Printf("bye"); len(c.out) > 0 {
			t.Errorf("%s: it is told %q", test.name, c.out)
		}
	}
}

// A header counts among what may be said before login, and has the time of a step.
func TestProxyHeaderBounds(t *testing.T) {
	c := New(&tape{in: strings.NewReader(headers[0].header)}, time.Second)
	c.octets = MaxOctets - len(headers[0].header) + 1
	if _, err := c.ReadProxyHeader(); err != ErrTooMuch {
		t.Error(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		defer ours.Close()
		defer peer.Close()
		beside(t, func() { io.WriteString(peer, v2(1, 0x11, v4Addresses)[:20]) })
		start := time.Now()
		_, err := New(ours, 20*time.Second).ReadProxyHeader()
		if d := time.Since(start); d != 20*time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v after %v", err, d)
		}
	})
}

// FuzzReadProxyHeader: whatever is said, it is read in bounds, an octet at a time
// as all at once, and what is behind a header is left.
func FuzzReadProxyHeader(f *testing.F) {
	for _, test := range headers {
		f.Add(test.header + "behind")
		f.Add(test.header[:len(test.header)-1])
	}
	f.Add(v2(1, 0x11, v4Addresses+strings.Repeat("x", 0xffff-len(v4Addresses))))
	f.Fuzz(func(t *testing.T, said string) {
		read := func(in io.Reader) (client, rest string, octets int, failed bool) {
			c := New(&tape{in: in}, time.Second)
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
		client, rest, octets, failed := read(strings.NewReader(said))
		if !failed && (rest != said[octets:] || octets > 16+4096) {
			t.Errorf("%q: behind %d octets is %q", said, octets, rest)
		}
		client2, rest2, _, failed2 := read(iotest.OneByteReader(strings.NewReader(said)))
		if client != client2 || rest != rest2 || failed != failed2 {
			t.Errorf("%q: %s, %v; slowly: %s, %v", said, client, failed, client2, failed2)
		}
	})
}
