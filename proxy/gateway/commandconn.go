package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// maxCommand limits a command line or a SASL response, in bytes. It holds a base64 token
// of 16 KiB.
const maxCommand = 32 << 10

// errBDAT ends a connection that sends BDAT. CHUNKING is not offered, and go-smtp delivers
// a message whose last chunk is cut short by the end of the connection.
var errBDAT = errors.New("BDAT is not offered")

// A commandConn is the connection as go-smtp reads it. It hands over one command line at a
// time, so that what follows DATA is still here when the session reads the message itself.
// go-smtp's own reader of messages limits lines, drops bytes in some odd line ends, and
// goes on with commands after a time-out within a message.
type commandConn struct {
	net.Conn
	in     *bufio.Reader
	limits Limits
	device *Device // nil if the client must authenticate

	rest    []byte // of the line that Read hands over
	command string // the last MAIL or RCPT command, without its line end
	lf      bool   // the last command line ended in LF alone
	err     error  // permanent
}

func newCommandConn(c net.Conn, limits Limits, d *Device) *commandConn {
	return &commandConn{Conn: c, in: bufio.NewReaderSize(c, 16<<10), limits: limits, device: d}
}

// Read returns the next command line or a part of it.
func (c *commandConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if c.err == nil {
			c.err = c.readCommand()
		}
		if c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// readCommand reads a line into c.rest.
func (c *commandConn) readCommand() error {
	c.waitUntil(time.Now().Add(c.limits.Idle))
	var line []byte
	for {
		part, err := c.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxCommand {
			return smtp.ErrTooLongLine
		}
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			return err // a line without an end is no command
		}
	}
	c.lf = !bytes.HasSuffix(line, []byte("\r\n"))
	line = bytes.TrimRight(line, " \t\r\n") // some clients send "QUIT "
	for i, b := range line {                // go-smtp repeats parts of it in replies
		if b < ' ' && b != '\t' || b == 0x7f {
			line[i] = '?'
		}
	}
	if c.device != nil {
		line = []byte(c.device.normalize(string(line)))
	}
	switch verb, _, _ := strings.Cut(strings.ToUpper(string(line[:min(len(line), 5)])), " "); verb {
	case "MAIL", "RCPT":
		c.command = string(line)
		line = c.wellFormed(line)
	case "BDAT":
		return errBDAT
	}
	c.rest = append(line, "\r\n"...)
	return nil
}

// wellFormed returns a MAIL or RCPT command for go-smtp: another address in place of one that
// the session will refuse with parsePath, whose reply says more than that of go-smtp.
func (c *commandConn) wellFormed(command []byte) []byte {
	before, _, ok := bytes.Cut(command, []byte(":"))
	if _, _, err := parsePath(c.command); !ok || err == nil {
		return command
	}
	return append(before[:len(before):len(before)], ":<malformed@invalid>"...)
}

// waitUntil sets the time until which a read may wait.
func (c *commandConn) waitUntil(t time.Time) { c.SetReadDeadline(t) }

// replacements are for what go-smtp says, by the beginnings of its reply lines. CHUNKING is
// not offered; see errBDAT. The others repeat what the client sent.
var replacements = []struct{ said, instead string }{
	{"250-CHUNKING\r\n", ""},
	{"250 2.0.0 Roger, accepting mail from ", "250 2.1.0 OK\r\n"},
	{"250 2.0.0 I'll make sure ", "250 2.1.5 OK\r\n"},
	{"250 2.0.0 I have successfully done nothing", "250 2.0.0 OK\r\n"},
}

// Write sends a reply line. go-smtp writes each line at once.
func (c *commandConn) Write(p []byte) (int, error) {
	for _, r := range replacements {
		switch {
		case !bytes.HasPrefix(p, []byte(r.said)):
		case r.instead == "": // net.Pipe would wait for a reader
			return len(p), nil
		default:
			_, err := io.WriteString(c.Conn, r.instead)
			return len(p), err
		}
	}
	return c.Conn.Write(p)
}
