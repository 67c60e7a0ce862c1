package wire

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// Linger ends a dialogue whose last words matter: it sends what was written,
// hangs up, and drops what the peer still sends, for at most a second. To close
// a connection with unread octets resets it, and then a peer that is still
// sending sees only that.
func (c *Conn) Linger() {
	if c.Flush() != nil {
		return
	}
	c.setOver()
	hangUp(c.conn, c.socket)
	c.socket.SetReadDeadline(time.Now().Add(linger))
	io.Copy(io.Discard, c.socket)
}

// hangUp tells the peer of conn, whose socket is s, that nothing more is sent.
// It may go on sending.
func hangUp(conn net.Conn, s *socket) error {
	if t, ok := conn.(*tls.Conn); ok {
		// The alert alone would do for TLS, but not every server reads it.
		if err := t.CloseWrite(); err != nil {
			return err
		}
	}
	if h, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}
