package wire

import (
	"errors"
	"io"
	"os"
	"time"
)

// WatchDisconnect watches the connection while the caller does something else. It
// calls onReset if the peer resets the connection. It calls onClose if the peer
// closes its write side: the peer may be gone, or may wait for a reply. Watching
// ends at the first octet of the peer, which stays in the buffer. The caller must
// call stop and may read only after it returns.
func (c *Conn) WatchDisconnect(onReset, onClose func()) (stop func()) {
	if c.in.Buffered() > 0 || c.prepareRead() != nil {
		return func() {}
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		switch _, err := c.in.Peek(1); {
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		case err == io.EOF:
			onClose()
		default:
			onReset()
		}
	}()
	return func() {
		c.socket.SetReadDeadline(time.Unix(1, 0))
		<-stopped
	}
}
