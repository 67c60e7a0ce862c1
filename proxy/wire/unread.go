package wire

// HasUnread reports, without waiting, whether the peer has sent data that has not
// been read. On systems without nonblocking reads it sees only data that the Conn
// has already received. The end of the stream does not count as data.
func (c *Conn) HasUnread() bool {
	if c.in.Buffered() > 0 || !canReadNonblocking || c.socket.raw == nil {
		return c.in.Buffered() > 0
	}
	c.socket.nonblocking = true
	defer func() { c.socket.nonblocking = false }()
	_, err := c.in.Peek(1)
	return err == nil
}
