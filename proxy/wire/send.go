package wire

import (
	"fmt"
	"strings"
	"time"
)

// Printf writes one line. Line breaks within it become spaces: text that came
// from one peer must not become a line of its own at the other.
func (c *Conn) Printf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.PrintSecret(line, line)
}

// PrintSecret writes one line of which the trace says only shown.
func (c *Conn) PrintSecret(line, shown string) {
	if c.silent {
		return
	}
	c.trace(true, shown)
	c.out = append(c.out, noLineBreaks.Replace(line)...)
	c.out = append(c.out, "\r\n"...)
}

// noLineBreaks keeps all other octets as they are: a password may have them.
var noLineBreaks = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// Heard traces a line of the peer. It is shown as the dialogue has it, which knows
// what is secret in a client's line, and redacts those of a server.
func (c *Conn) Heard(shown string) { c.trace(false, shown) }

func (c *Conn) trace(sent bool, line string) {
	if c.Trace != nil {
		c.Trace(sent, line)
	}
}

// Flush sends what was written.
func (c *Conn) Flush() error {
	if c.err != nil || len(c.out) == 0 {
		return c.err
	}
	if err := c.awaitSent(); err != nil {
		c.err = err
	} else if _, err := c.conn.Write(c.out); err != nil {
		c.err = err
	}
	c.out = nil
	return c.err
}

// awaitSent sets the time until which the peer has to take what is written. On
// TLS a write deadline that passes is the end of the connection; that is what
// it is for here.
func (c *Conn) awaitSent() error {
	now := time.Now()
	until := now.Add(c.step)
	if !c.end.IsZero() {
		end := c.end
		if end.Before(now) {
			end = now // and it is to be told so
		}
		if last := end.Add(lastWord); last.Before(until) {
			until = last
		}
	}
	return c.socket.SetWriteDeadline(until)
}
