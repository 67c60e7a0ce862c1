package wire

import (
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
	busy   bool   // the last read, if not lazy, left more to read
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
	c.setOver() // or an Interrupt would set a deadline after this
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
// what is there. The buffer it holds meanwhile is a small one, but where the
// last one was filled: then more is on its way.
func (s *Stream) receiveHolding() (*Buffer, error) {
	const little = 512
	for s.err == nil {
		var b *Buffer
		if s.busy {
			b = borrow()
			b.n, s.err = s.conn.Read(b.space[:])
		} else {
			small := make([]byte, little)
			n, err := s.conn.Read(small)
			b, s.err = borrow(), err
			b.n = copy(b.space[:], small[:n])
		}
		s.busy = b.n >= little
		if b.n > 0 {
			return b, nil
		}
		b.Return()
	}
	return nil, s.err
}

// Write sends p.
func (s *Stream) Write(p []byte) (int, error) { return s.conn.Write(p) }

// CloseWrite tells the peer that nothing more is sent. It may go on sending.
func (s *Stream) CloseWrite() error { return hangUp(s.conn, s.socket) }

// Abort makes whatever waits on the stream return an error.
func (s *Stream) Abort() { s.socket.SetDeadline(time.Unix(1, 0)) }

// Close closes the connection.
func (s *Stream) Close() error { return s.socket.Close() }
