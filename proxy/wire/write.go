package wire

import (
	"fmt"
	"strings"
	"time"
)

// Printf writes one line. It replaces line breaks within the line by spaces, so that
// text from one peer cannot become a separate line at the other.
func (c *Conn) Printf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.PrintSecret(line, line)
}

// PrintSecret writes one line and traces shown in its place.
func (c *Conn) PrintSecret(line, shown string) {
	if c.muted {
		return
	}
	c.trace(true, shown)
	c.out = append(c.out, noLineBreaks.Replace(line)...)
	c.out = append(c.out, "\r\n"...)
}

// noLineBreaks keeps all other octets: a password may contain them.
var noLineBreaks = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// TraceReceived traces a line received from the peer. The caller removes secrets
// from shown.
func (c *Conn) TraceReceived(shown string) { c.trace(false, shown) }

func (c *Conn) trace(sent bool, line string) {
	if c.Trace != nil {
		c.Trace(sent, line)
	}
}

// Flush sends the written lines. It returns the first write error of the connection.
func (c *Conn) Flush() error {
	if c.err != nil || len(c.out) == 0 {
		return c.err
	}
	if err := c.setWriteDeadline(); err != nil {
		c.err = err
	} else if _, err := c.conn.Write(c.out); err != nil {
		c.err = err
	}
	c.out = nil
	return c.err
}

// setWriteDeadline sets the deadline of the next write. After the deadline of the
// dialogue, finalWriteTimeout remains for a final reply. A TLS connection is
// unusable after a write timeout, as intended here.
func (c *Conn) setWriteDeadline() error {
	now := time.Now()
	until := now.Add(c.timeout)
	if !c.deadline.IsZero() {
		end := c.deadline
		if end.Before(now) {
			end = now // the final reply still has its time
		}
		if last := end.Add(finalWriteTimeout); last.Before(until) {
			until = last
		}
	}
	return c.socket.SetWriteDeadline(until)
}
