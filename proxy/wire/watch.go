package wire

import (
	"errors"
	"io"
	"os"
	"time"
)

// Watch reads ahead while the caller does something else. It calls gone if the peer
// resets the connection, and closed if the peer sends nothing more: that peer may be
// gone, or wait for an answer. Watch stops at the first octet that the peer sends,
// which is kept: what follows cannot be known then. Nothing must be read before stop
// has returned.
func (c *Conn) Watch(gone, closed func()) (stop func()) {
	if c.in.Buffered() > 0 || c.await() != nil {
		return func() {}
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		switch _, err := c.in.Peek(1); {
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		case err == io.EOF:
			closed()
		default:
			gone()
		}
	}()
	return func() {
		c.socket.SetReadDeadline(time.Unix(1, 0))
		<-stopped
	}
}
