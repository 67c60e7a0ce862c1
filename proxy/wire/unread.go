package wire

// HasUnread reports whether the peer has sent something that was not read yet, or,
// where the system cannot be asked, whether some of it has been received. It does not
// wait. An end of the connection is left to the next read.
func (c *Conn) HasUnread() bool {
	if c.in.Buffered() > 0 || !canBeLazy || c.socket.raw == nil {
		return c.in.Buffered() > 0
	}
	c.socket.lazy = true
	defer func() { c.socket.lazy = false }()
	_, err := c.in.Peek(1)
	return err == nil
}
