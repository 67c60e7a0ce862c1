package wire

import (
	"math"
	"net"
	"syscall"
	"time"
)

// unacknowledged is how long data may stay without an answer from the peer's
// system: a mail server that lost power sends no FIN.
const unacknowledged = 60 * time.Second

// KeepAlive finds out within two minutes that the peer of a silent connection
// is gone. NAT gateways forget connections after a few minutes of silence, and
// a mail client in IDLE is silent for half an hour.
var KeepAlive = net.KeepAliveConfig{
	Enable:   true,
	Idle:     60 * time.Second,
	Interval: 15 * time.Second,
	Count:    4,
}

// A socket is the connection below TLS.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil if the connection is not of the system's

	// lazy is set when the dialogue is over: reads then return errWouldBlock
	// rather than wait, so that a relay need not lend them a buffer meanwhile.
	lazy bool

	ahead []byte // what was read already, and is the beginning of TLS
	left  int    // octets that may yet be read, if not lazy
}

func newSocket(c net.Conn) *socket {
	s := &socket{Conn: c, left: math.MaxInt}
	if t, ok := c.(*net.TCPConn); ok {
		t.SetKeepAliveConfig(KeepAlive)
	}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
			// The system counts a peer that does not read as one that does not
			// answer. A mail program on this machine may be doing just that, at
			// a prompt, and its system cannot vanish without ours.
			if !isLoopback(c.RemoteAddr()) {
				setUserTimeout(raw, unacknowledged)
			}
		}
	}
	return s
}

// isLoopback reports whether a is of this machine.
func isLoopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// Read reads from the network. During a dialogue it asks the system to
// acknowledge at once: a server with Nagle's algorithm on keeps its next line
// back until then, 40 ms for every exchange.
func (s *socket) Read(p []byte) (int, error) {
	if len(s.ahead) > 0 {
		n := copy(p, s.ahead)
		s.ahead = s.ahead[n:]
		return n, nil
	}
	if s.lazy {
		return s.tryRead(p)
	}
	if s.left <= 0 {
		return 0, ErrTooMuch
	}
	if s.raw != nil {
		setQuickAck(s.raw)
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// errWouldBlock says that there is nothing to read now. It is temporary in the
// sense of net.Error, so that crypto/tls can go on after it, even within a
// record.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read now" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }
