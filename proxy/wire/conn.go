// Package wire is a connection of lines, as IMAP, SMTP and POP3 talk until a
// login is over: it bounds what a peer may send and how long it may take, keeps
// a trace free of secrets, and hands what comes after the dialogue to a relay.
package wire

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// What a peer may send before a login is over. Nobody honest comes near.
const (
	// MaxLine is the longest line, its line ending included. RFC 4954 section 4
	// wants 12288 octets for a line of an AUTH exchange.
	MaxLine = 16 << 10

	// MaxLines is how many lines a peer may send. A server with thirty
	// extensions says each twice, before and after STARTTLS.
	MaxLines = 100

	// MaxOctets is how much a peer may send in all, literals included.
	MaxOctets = 64 << 10
)

// A Violation is what a peer does wrong so that the dialogue cannot go on.
type Violation string

func (v Violation) Error() string { return string(v) }

// The violations that a Conn sees.
var (
	ErrLineTooLong = Violation(fmt.Sprintf("line longer than %d octets", MaxLine))
	ErrTooMuch     = Violation(fmt.Sprintf("more than %d lines or %d octets before login", MaxLines, MaxOctets))
	ErrBareLF      = Violation("line ends in LF instead of CRLF")
	ErrTLS         = Violation("TLS on a plaintext port: set encryption to none here")

	// ErrHTTP is worse than a mistake: a web page can make a browser send a
	// request here, with commands of another protocol in its body.
	ErrHTTP = Violation("HTTP on a port for mail")
)

// ErrInterrupted is returned by reads after Interrupt.
var ErrInterrupted = errors.New("interrupted")

// readAhead is the size of the read buffer: more than almost every line, and
// all that a stranger's silent connection costs.
const readAhead = 2 << 10

// recordHandshake is the first octet of a TLS connection (RFC 8446 section 5.1).
const recordHandshake = 0x16

// A Conn is one peer of a dialogue. Lines are written to a buffer, which the
// next read sends; a failed write is told by that read as well, so that each
// exchange has one error. A Conn serves one goroutine, but for Interrupt and
// Close.
type Conn struct {
	// Trace, if not nil, is told each line: sent is true for those of ours.
	Trace func(sent bool, line string)

	conn   net.Conn // the socket, or TLS on it
	socket *socket
	in     *bufio.Reader
	out    []byte
	err    error // of the first write that failed

	step time.Duration // for one line to come, or for what is written to go
	end  time.Time     // of the whole dialogue; zero if only steps are bounded

	lines, octets int // read so far
	interrupted   atomic.Bool
}

// New returns c as a connection of lines. Each line must come, and what is
// written must go, within step.
func New(c net.Conn, step time.Duration) *Conn {
	s := newSocket(c)
	return &Conn{conn: s, socket: s, in: bufio.NewReaderSize(s, readAhead), step: step}
}

// SetEnd bounds the whole dialogue: after t nothing is read any more, whatever
// the step. Otherwise a peer could stay for ever by sending an octet at a time.
func (c *Conn) SetEnd(t time.Time) { c.end = t }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// Close closes the connection at once. What was written and not sent is lost.
func (c *Conn) Close() error { return c.socket.Close() }

// Interrupt makes the read that is under way, and all later ones, return
// ErrInterrupted. Writes go on, so that the peer can be told why.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	c.socket.SetReadDeadline(time.Unix(1, 0))
}

// ReadLine sends what was written and returns the next line without its line
// ending, which must be CRLF: what ends in a bare LF may be one line to one
// server and two to another.
func (c *Conn) ReadLine() (string, error) {
	if err := c.await(); err != nil {
		return "", err
	}
	if c.lines == 0 && !c.Secure() {
		if first, err := c.in.Peek(1); err == nil && first[0] == recordHandshake {
			return "", ErrTLS
		}
	}
	var line []byte
	for {
		part, err := c.in.ReadSlice('\n')
		c.octets += len(part)
		if len(line)+len(part) > MaxLine {
			return "", ErrLineTooLong
		}
		line = append(line, part...)
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			return "", c.readError(err, len(line))
		}
	}
	if c.lines++; c.lines > MaxLines || c.octets > MaxOctets {
		return "", ErrTooMuch
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if c.lines == 1 && isHTTP(text) {
		return "", ErrHTTP
	}
	if !ok {
		return "", ErrBareLF
	}
	return text, nil
}

// isHTTP reports whether line is the first of an HTTP request (RFC 9112
// section 3).
func isHTTP(line string) bool {
	return strings.Contains(line, " HTTP/1.") || strings.HasPrefix(line, "PRI * HTTP/2")
}

// ReadN sends what was written and returns the next n octets.
func (c *Conn) ReadN(n int) ([]byte, error) {
	if err := c.await(); err != nil {
		return nil, err
	}
	if c.octets += n; c.octets > MaxOctets {
		return nil, ErrTooMuch
	}
	b := make([]byte, n)
	if m, err := io.ReadFull(c.in, b); err != nil {
		return nil, c.readError(err, m)
	}
	return b, nil
}

// await sends what was written and sets the time until which the peer has to
// answer it.
func (c *Conn) await() error {
	if err := c.Flush(); err != nil {
		return err
	}
	until := time.Now().Add(c.step)
	if !c.end.IsZero() && c.end.Before(until) {
		until = c.end
	}
	if err := c.socket.SetReadDeadline(until); err != nil {
		return err
	}
	// An Interrupt between here and the read has set its deadline after ours.
	if c.interrupted.Load() {
		return ErrInterrupted
	}
	return nil
}

// readError is err as the dialogue should see it, which got n octets of what it
// wanted: an end within a line is not the end of a dialogue.
func (c *Conn) readError(err error, n int) error {
	if c.interrupted.Load() {
		return ErrInterrupted
	}
	if err == io.EOF && n > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Printf writes one line. Line breaks within it become spaces: text that came
// from one peer must not become a line of its own at the other.
func (c *Conn) Printf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	c.trace(true, line)
	c.print(line)
}

// PrintSecret writes one line of which the trace says only shown.
func (c *Conn) PrintSecret(line, shown string) {
	c.trace(true, shown)
	c.print(line)
}

func (c *Conn) print(line string) {
	c.out = append(c.out, oneLine.Replace(line)...)
	c.out = append(c.out, "\r\n"...)
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// Heard tells the trace what a line of the peer's was, in the words of a
// dialogue that knows which part of it is secret.
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
	// On TLS a write deadline that passes is the end of the connection. That is
	// what it is for here.
	if err := c.socket.SetWriteDeadline(time.Now().Add(c.step)); err != nil {
		c.err = err
	} else if _, err := c.conn.Write(c.out); err != nil {
		c.err = err
	}
	c.out = nil
	return c.err
}

// Secure reports whether the connection is inside TLS.
func (c *Conn) Secure() bool { return c.conn != net.Conn(c.socket) }

// StartTLS begins TLS as the client. Octets that arrived before it are from
// whoever could write into the plain connection, so there must be none.
func (c *Conn) StartTLS(config *tls.Config) error {
	if err := c.await(); err != nil {
		return err
	}
	if c.in.Buffered() > 0 {
		return errors.New("server sent more than its answer to STARTTLS")
	}
	if err := c.socket.SetWriteDeadline(time.Now().Add(c.step)); err != nil {
		return err
	}
	t := tls.Client(c.socket, config)
	if err := t.Handshake(); err != nil {
		return c.readError(err, 0)
	}
	c.conn = t
	c.in.Reset(t)
	return nil
}
