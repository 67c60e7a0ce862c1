package wire

import (
	"errors"
	"os"
	"time"
)

// Watch calls gone if the peer hangs up while we do something else than read. It
// stops at the first octet that the peer sends, which is kept: from then on it
// cannot be told. Nothing must be read before stop has returned.
func (c *Conn) Watch(gone func()) (stop func()) {
	if c.in.Buffered() > 0 || c.await() != nil {
		return func() {}
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if _, err := c.in.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			gone()
		}
	}()
	return func() {
		c.socket.SetReadDeadline(time.Unix(1, 0))
		<-stopped
	}
}
