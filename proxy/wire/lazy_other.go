//go:build !unix

package wire

// canBeLazy says that the system cannot be asked what is there to read: a read
// waits, and holds its buffer meanwhile. So none of these is ever called.
const canBeLazy = false

func (s *socket) tryRead(p []byte) (int, error) { return s.Conn.Read(p) }
func (s *socket) waitRead() error               { return nil }
func (s *socket) receive() (*Buffer, error)     { return nil, errWouldBlock }
