package wire

import (
	"math"
	"net"
	"syscall"
	"time"
)

// ackTimeout is how long sent data may stay unacknowledged by the peer's system. A
// mail server that loses power sends no FIN.
const ackTimeout = 60 * time.Second

// KeepAlive is the TCP keep-alive configuration. It detects within two minutes that
// the peer of an idle connection is gone. NAT gateways drop connections that are
// idle for a few minutes, and a mail client in IDLE sends nothing for half an hour.
var KeepAlive = net.KeepAliveConfig{
	Enable:   true,
	Idle:     60 * time.Second,
	Interval: 15 * time.Second,
	Count:    4,
}

// A socket is a connection below TLS.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil if the connection is not a system socket

	// nonblocking makes reads return errWouldBlock instead of waiting, so that an
	// idle relay holds no buffer. It is set after the dialogue.
	nonblocking bool

	buffered []byte // input that the Conn has read already; the beginning of TLS
	budget   int    // octets that may still be read, unless nonblocking
}

func newSocket(c net.Conn) *socket {
	s := &socket{Conn: c, budget: math.MaxInt}
	if t, ok := c.(*net.TCPConn); ok {
		t.SetKeepAliveConfig(KeepAlive)
	}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
			// TCP_USER_TIMEOUT also ends the connection of a peer that does not
			// read. A mail program on this machine may be waiting at a prompt,
			// and its system cannot disappear separately from this one.
			if !isLoopback(c.RemoteAddr()) {
				setUserTimeout(raw, ackTimeout)
			}
		}
	}
	return s
}

// isLoopback reports whether a is a loopback address or a unix socket.
func isLoopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// Read reads from the network. During a dialogue it sets TCP_QUICKACK: a server that
// uses the Nagle algorithm delays its next line until the acknowledgement, 40 ms for
// every exchange.
func (s *socket) Read(p []byte) (int, error) {
	if len(s.buffered) > 0 {
		n := copy(p, s.buffered)
		s.buffered = s.buffered[n:]
		return n, nil
	}
	if s.nonblocking {
		return s.tryRead(p)
	}
	if s.budget <= 0 {
		return 0, ErrTooMuch
	}
	if s.raw != nil {
		setQuickAck(s.raw)
	}
	n, err := s.Conn.Read(p[:min(len(p), s.budget)])
	s.budget -= n
	return n, err
}

// errWouldBlock is the error of a read that finds no data. It is temporary in the
// sense of net.Error, so that crypto/tls can continue after it, even within a
// record.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no data available" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }
