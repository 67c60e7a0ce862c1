//go:build !unix

package wire

// canReadNonblocking is false: on this system, a read blocks and holds its buffer.
// The functions below are never called.
const canReadNonblocking = false

func (s *socket) tryRead(p []byte) (int, error) { return s.Conn.Read(p) }
func (s *socket) waitReadable() error           { return nil }
func (s *socket) receive() (*Buffer, error)     { return nil, errWouldBlock }
