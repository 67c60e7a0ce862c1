package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/pires/go-proxyproto"
)

// ErrNoProxyHeader is the error of a peer that must send a PROXY protocol header and
// does not.
const ErrNoProxyHeader = Violation("PROXY protocol header is missing: configure the load balancer to send it")

// ErrUnexpectedProxyHeader is the error of a peer that sends a PROXY protocol header
// to a listener that does not expect one.
const ErrUnexpectedProxyHeader = Violation("unexpected PROXY protocol header: add the load balancer to proxy_protocol of the listener, or configure the load balancer not to send the header")

// isProxyHeader reports whether line, the first line of the peer, begins a PROXY
// protocol header. A version 2 header begins with an empty line; the rest of it has
// arrived in the same segment.
func (c *Conn) isProxyHeader(line string) bool {
	if line != "" {
		return isProxyLine(line)
	}
	rest, _ := c.in.Peek(min(c.in.Buffered(), len(proxyproto.SIGV2)-2))
	return string(rest) == string(proxyproto.SIGV2[2:])
}

// isProxyLine reports whether line is a version 1 header.
func isProxyLine(line string) bool {
	for _, family := range []string{"TCP4 ", "TCP6 ", "UNKNOWN"} {
		if strings.HasPrefix(line, string(proxyproto.SIGV1)+" "+family) {
			return true
		}
	}
	return false
}

// startsWithProxyHeader reports whether the data received so far begins with a PROXY
// protocol header. It consumes nothing.
func (c *Conn) startsWithProxyHeader() bool {
	sent, _ := c.in.Peek(c.in.Buffered())
	return bytes.HasPrefix(sent, proxyproto.SIGV2) || isProxyLine(string(sent))
}

// Lengths from the PROXY protocol specification, in octets.
const (
	maxProxyLine     = 107 // of a version 1 header
	proxyV2HeaderLen = 16  // of the fixed part of a version 2 header, which ends in the length of the rest
)

// ReadProxyHeader reads the header that a load balancer sends first, in version 1 or
// 2 of the PROXY protocol, and returns the client's address. The address is nil if
// the load balancer opened the connection itself, for example as a health check. It
// is also nil for a loopback address on another machine and for a unix socket. After
// an error the Conn sends nothing more.
func (c *Conn) ReadProxyHeader() (client net.Addr, err error) {
	client, err = c.readProxyHeader()
	c.muted = err != nil
	return client, err
}

func (c *Conn) readProxyHeader() (client net.Addr, err error) {
	if err := c.prepareRead(); err != nil {
		return nil, err
	}
	n, err := c.proxyHeaderLength()
	if err != nil {
		return nil, err
	}
	if c.octets += n; c.octets > MaxOctets {
		return nil, ErrTooMuch
	}
	header, err := proxyproto.Read(c.in)
	var network net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, io.ErrUnexpectedEOF
	case errors.As(err, &network):
		return nil, c.readError(err, n)
	case err != nil:
		return nil, Violation("invalid PROXY protocol header: " + strings.TrimPrefix(err.Error(), "proxyproto: "))
	case header.Command.IsLocal():
		return nil, nil
	case !header.TransportProtocol.IsStream():
		return nil, Violation("invalid PROXY protocol header: not a stream connection")
	}
	a, ok := header.SourceAddr.(*net.TCPAddr)
	if ok && a.IP.IsLoopback() && !isLoopback(c.RemoteAddr()) {
		ok = false // the loopback of the load balancer's machine
	}
	if ok {
		return a, nil
	}
	return nil, nil // a unix socket on the load balancer's machine
}

// proxyHeaderLength returns the length of the header in octets. It waits for a
// complete version 1 line, which the library needs, and fails at the first octet
// that cannot belong to a header.
func (c *Conn) proxyHeaderLength() (int, error) {
	for n := 1; n <= maxProxyLine; n++ {
		head, err := c.in.Peek(n)
		switch {
		case err != nil:
			return 0, c.readError(err, len(head))
		case sharesPrefix(head, proxyproto.SIGV2):
			if n == proxyV2HeaderLen {
				return n + int(binary.BigEndian.Uint16(head[n-2:])), nil
			}
		case !sharesPrefix(head, proxyproto.SIGV1):
			return 0, ErrNoProxyHeader
		case head[n-1] == '\n':
			return n, nil
		}
	}
	return 0, ErrNoProxyHeader
}

// sharesPrefix reports whether head and signature are equal up to the shorter length.
func sharesPrefix(head, signature []byte) bool {
	n := min(len(head), len(signature))
	return bytes.Equal(head[:n], signature[:n])
}
