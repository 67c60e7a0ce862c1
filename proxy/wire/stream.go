package wire

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"
)

// bufferSize is four TLS records: enough that copying costs little beside the
// encryption, and little enough to be lent to every busy session.
const bufferSize = 64 << 10

// A Buffer holds octets on their way. It is lent while something is there to be
// relayed, and must be returned then.
type Buffer struct {
	n     int
	space [bufferSize]byte
}

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

func borrow() *Buffer { return buffers.Get().(*Buffer) }

// Octets is what was received.
func (b *Buffer) Octets() []byte { return b.space[:b.n] }

// Return gives the buffer back. Its octets must not be used afterwards.
func (b *Buffer) Return() {
	b.n = 0
	buffers.Put(b)
}

// A Stream is a connection whose dialogue is over: octets, not lines. While it
// waits to receive it holds no buffer, since most sessions of a mail client are
// silent most of the time. One goroutine may receive while another writes.
type Stream struct {
	conn   net.Conn
	socket *socket
	lazy   bool
	ahead  []byte // what the peer sent before the dialogue was over
	err    error  // what ended the last receive, after octets that came with it
}

// Stream ends the dialogue: it sends what was written, lifts the deadlines, and
// returns what the peer sends from here on, beginning with what it has already
// sent.
func (c *Conn) Stream() (*Stream, error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	if err := c.socket.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	s := &Stream{conn: c.conn, socket: c.socket}
	if n := c.in.Buffered(); n > 0 {
		s.ahead = make([]byte, n)
		io.ReadFull(c.in, s.ahead) // cannot fail: they are in memory
	}
	s.lazy = canBeLazy && c.socket.raw != nil
	c.socket.lazy = s.lazy
	c.in = nil
	return s, nil
}

// Receive waits until the peer has sent something and returns all that is there
// by now, as far as it fits. The caller must Return it. At the end the error is
// io.EOF.
func (s *Stream) Receive() (*Buffer, error) {
	switch {
	case len(s.ahead) > 0:
		b := borrow()
		b.n = copy(b.space[:], s.ahead)
		s.ahead = s.ahead[b.n:]
		return b, nil
	case s.err != nil:
		return nil, s.err
	case !s.lazy:
		return s.receiveHolding()
	case s.conn == net.Conn(s.socket):
		return s.socket.receive()
	}
	return s.receiveTLS()
}

// receiveTLS decrypts all records that are there into one buffer, so that they
// become one write at the other end. Servers send records of 1 to 4 KiB.
func (s *Stream) receiveTLS() (*Buffer, error) {
	for {
		b := borrow()
		var err error
		for err == nil && b.n < len(b.space) {
			var n int
			n, err = s.conn.Read(b.space[b.n:])
			b.n += n
		}
		if err == error(errWouldBlock) {
			err = nil
		}
		s.err = err
		if b.n > 0 {
			return b, nil
		}
		b.Return()
		if err == nil {
			err = s.socket.waitRead()
		}
		if err != nil {
			return nil, err
		}
	}
}

// receiveHolding waits in a read, as must be where the system can't be asked
// what is there; the buffer it holds meanwhile is a small one.
func (s *Stream) receiveHolding() (*Buffer, error) {
	var small [512]byte
	n, err := s.conn.Read(small[:])
	s.err = err
	if n == 0 {
		return nil, err
	}
	b := borrow()
	b.n = copy(b.space[:], small[:n])
	return b, nil
}

// Write sends p.
func (s *Stream) Write(p []byte) (int, error) { return s.conn.Write(p) }

// CloseWrite tells the peer that nothing more is sent. It may go on sending.
func (s *Stream) CloseWrite() error {
	if t, ok := s.conn.(*tls.Conn); ok {
		// The alert alone would do for TLS, but not every server reads it.
		if err := t.CloseWrite(); err != nil {
			return err
		}
	}
	if h, ok := s.socket.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// Abort makes whatever waits on the stream return an error.
func (s *Stream) Abort() { s.socket.SetDeadline(time.Unix(1, 0)) }

// Close closes the connection.
func (s *Stream) Close() error { return s.socket.Close() }
