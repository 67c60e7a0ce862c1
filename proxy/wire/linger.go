package wire

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// Linger ends a dialogue whose final reply the peer must receive. It sends the
// written lines, closes the write side, and discards input for at most one second.
// Closing a connection with unread input resets it, and a peer that is still sending
// would then lose the reply.
func (c *Conn) Linger() {
	if c.Flush() != nil {
		return
	}
	c.setDone()
	closeWrite(c.conn, c.socket)
	c.socket.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.Copy(io.Discard, c.socket)
}

// closeWrite closes the write side of conn, whose socket is s. The peer may continue
// to send.
func closeWrite(conn net.Conn, s *socket) error {
	if t, ok := conn.(*tls.Conn); ok {
		// Not every server reads the close_notify alert, so close the socket as well.
		if err := t.CloseWrite(); err != nil {
			return err
		}
	}
	if h, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}
