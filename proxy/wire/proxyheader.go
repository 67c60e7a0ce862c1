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

// ErrNoProxy is a peer that is to speak the PROXY protocol, and does not.
const ErrNoProxy = Violation("no header of the PROXY protocol: is the load balancer to send one?")

// ErrProxyHeader is a header of the PROXY protocol where none is due.
const ErrProxyHeader = Violation("header of the PROXY protocol, which this listener does not expect: add the load balancer to its proxy_protocol, or have the load balancer send no header")

// isProxyHeader reports whether line, the first of the peer, begins a header of the
// PROXY protocol. That of version 2 begins with an empty line; the rest has then
// arrived together with it.
func (c *Conn) isProxyHeader(line string) bool {
	if line != "" {
		return isProxyLine(line)
	}
	rest, _ := c.in.Peek(min(c.in.Buffered(), len(proxyproto.SIGV2)-2))
	return string(rest) == string(proxyproto.SIGV2[2:])
}

// isProxyLine reports whether line is a header of version 1.
func isProxyLine(line string) bool {
	for _, family := range []string{"TCP4 ", "TCP6 ", "UNKNOWN"} {
		if strings.HasPrefix(line, string(proxyproto.SIGV1)+" "+family) {
			return true
		}
	}
	return false
}

// sendsProxyHeader reports whether what the peer has sent so far, of which nothing
// is read yet, begins a header of the PROXY protocol.
func (c *Conn) sendsProxyHeader() bool {
	sent, _ := c.in.Peek(c.in.Buffered())
	return bytes.HasPrefix(sent, proxyproto.SIGV2) || isProxyLine(string(sent))
}

// How long headers of the PROXY protocol are, by its specification: that of
// version 1 is a line, that of version 2 says its length at its beginning.
const (
	maxProxyLine = 107
	proxyPrefix  = 16
)

// ReadProxyHeader reads what a load balancer sends before all else: whose
// connection it passes on, by version 1 or 2 of the PROXY protocol. It is nil if
// the connection comes from the load balancer's machine, to see whether we are
// well, say: a loopback address there is not one of ours. After an error nothing
// more is sent.
func (c *Conn) ReadProxyHeader() (client net.Addr, err error) {
	client, err = c.readProxyHeader()
	c.silent = err != nil
	return client, err
}

func (c *Conn) readProxyHeader() (client net.Addr, err error) {
	if err := c.await(); err != nil {
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
		return nil, Violation("header of the PROXY protocol: " + strings.TrimPrefix(err.Error(), "proxyproto: "))
	case header.Command.IsLocal():
		return nil, nil
	case !header.TransportProtocol.IsStream():
		return nil, Violation("header of the PROXY protocol: it is about datagrams")
	}
	a, ok := header.SourceAddr.(*net.TCPAddr)
	if ok && a.IP.IsLoopback() && !isLoopback(c.RemoteAddr()) {
		ok = false // it is that machine's loopback, not ours
	}
	if ok {
		return a, nil
	}
	return nil, nil // a unix socket is of that machine, too
}

// proxyHeaderLength waits until it is known how long the header is. A line is
// then there as a whole, which the library wants. Who says anything else is not
// waited for.
func (c *Conn) proxyHeaderLength() (int, error) {
	for n := 1; n <= maxProxyLine; n++ {
		head, err := c.in.Peek(n)
		switch {
		case err != nil:
			return 0, c.readError(err, len(head))
		case begins(head, proxyproto.SIGV2):
			if n == proxyPrefix {
				return n + int(binary.BigEndian.Uint16(head[n-2:])), nil
			}
		case !begins(head, proxyproto.SIGV1):
			return 0, ErrNoProxy
		case head[n-1] == '\n':
			return n, nil
		}
	}
	return 0, ErrNoProxy
}

// begins reports whether head is the beginning of what begins with signature.
func begins(head, signature []byte) bool {
	n := min(len(head), len(signature))
	return bytes.Equal(head[:n], signature[:n])
}
