package wire

import (
	"net"
	"sync"
	"time"
)

// bufferSize is the size of a Buffer in octets. It holds four TLS records: copying
// is then cheap compared to encryption, and every active session can have a buffer.
const bufferSize = 64 << 10

// A Buffer holds data that a relay forwards. The receiver must Return it to the
// pool.
type Buffer struct {
	n    int
	data [bufferSize]byte
}

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

func getBuffer() *Buffer { return buffers.Get().(*Buffer) }

// Octets returns the received data. It is valid until Return.
func (b *Buffer) Octets() []byte { return b.data[:b.n] }

// Return returns b to the pool.
func (b *Buffer) Return() {
	b.n = 0
	buffers.Put(b)
}

// A Stream is a connection after its dialogue: a stream of octets instead of lines.
// It holds no buffer while it waits for data, because most sessions of mail clients
// are idle most of the time. One goroutine may receive while another writes.
type Stream struct {
	conn        net.Conn
	socket      *socket
	nonblocking bool
	wasFull     bool   // the last blocking read filled its buffer
	buffered    []byte // input that arrived before the end of the dialogue
	err         error  // the error of the last read, returned after its data
}

// Stream ends the dialogue and returns the connection as a Stream. It sends the
// written lines and clears the deadlines. The Stream first returns the input that
// the Conn has read already.
func (c *Conn) Stream() (*Stream, error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	c.setDone() // before the deadline is cleared: Interrupt would set it again
	if err := c.socket.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	s := &Stream{conn: c.conn, socket: c.socket, buffered: c.unread}
	if n := c.in.Buffered(); n > 0 {
		rest, _ := c.in.Peek(n) // cannot fail: the data is in memory
		s.buffered = append(s.buffered, rest...)
	}
	s.nonblocking = canReadNonblocking && c.socket.raw != nil
	c.socket.nonblocking = s.nonblocking
	c.in = nil
	return s, nil
}

// Receive waits for data and returns what is available, up to the size of a Buffer.
// The caller must Return it. The error is io.EOF at the end of the stream.
func (s *Stream) Receive() (*Buffer, error) {
	switch {
	case len(s.buffered) > 0:
		b := getBuffer()
		b.n = copy(b.data[:], s.buffered)
		s.buffered = s.buffered[b.n:]
		return b, nil
	case s.err != nil:
		return nil, s.err
	case !s.nonblocking:
		return s.receiveBlocking()
	case s.conn == net.Conn(s.socket):
		return s.socket.receive()
	}
	return s.receiveTLS()
}

// receiveTLS decrypts all available records into one buffer, so that the relay
// forwards them in one write. Servers send records of 1 to 4 KiB.
func (s *Stream) receiveTLS() (*Buffer, error) {
	for {
		b := getBuffer()
		var err error
		for err == nil && b.n < len(b.data) {
			var n int
			n, err = s.conn.Read(b.data[b.n:])
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
			err = s.socket.waitReadable()
		}
		if err != nil {
			return nil, err
		}
	}
}

// receiveBlocking waits in a read, for connections without nonblocking reads. It
// waits with a small buffer, unless the last read filled its buffer and more data is
// likely.
func (s *Stream) receiveBlocking() (*Buffer, error) {
	const smallRead = 512
	for s.err == nil {
		var b *Buffer
		if s.wasFull {
			b = getBuffer()
			b.n, s.err = s.conn.Read(b.data[:])
		} else {
			small := make([]byte, smallRead)
			n, err := s.conn.Read(small)
			b, s.err = getBuffer(), err
			b.n = copy(b.data[:], small[:n])
		}
		s.wasFull = b.n >= smallRead
		if b.n > 0 {
			return b, nil
		}
		b.Return()
	}
	return nil, s.err
}

// Write sends p.
func (s *Stream) Write(p []byte) (int, error) { return s.conn.Write(p) }

// CloseWrite closes the write side. The peer may continue to send.
func (s *Stream) CloseWrite() error { return closeWrite(s.conn, s.socket) }

// Abort makes all reads and writes fail, including those in progress. It may be
// called concurrently.
func (s *Stream) Abort() { s.socket.SetDeadline(time.Unix(1, 0)) }

// Close closes the connection.
func (s *Stream) Close() error { return s.socket.Close() }
