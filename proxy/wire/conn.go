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
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/internal/redact"
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
	ErrTLS         = Violation("TLS, and this listener has none: set encryption to none, or its tls to \"implicit\" or \"auto\"")
	ErrTLSEarly    = Violation("TLS on a port that begins in plain text: set encryption to STARTTLS here")

	// ErrHTTP is worse than a mistake: a web page can make a browser send a
	// request here, with commands of another protocol in its body.
	ErrHTTP = Violation("HTTP on a port for mail")
)

// ErrInterrupted is returned by reads after Interrupt.
var ErrInterrupted = errors.New("interrupted")

// readAhead is the size of the read buffer: more than almost every line, and
// all that a stranger's silent connection costs.
const readAhead = 2 << 10

// What a peer is given after the end of its dialogue.
const (
	// lastWord is how long it may take to take what is written.
	lastWord = 5 * time.Second

	// linger is how long what it still sends is read. See Linger.
	linger = time.Second
)

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

	offered  *tls.Config // with which the peer may begin TLS; nil if it may not
	required bool        // that it does so, before it logs in
	silent   bool        // nothing more is sent: it would not be understood

	lines, octets int  // read so far
	started       bool // a line was read since the connection or its TLS began

	secrets *redact.Secrets // hidden in what the peer sent; may be nil
	own     *redact.Secrets // those of this connection alone; may be nil
	said    string          // the end of what Redact was last given

	mu          sync.Mutex // for both below, as Interrupt may come at any time
	interrupted bool
	over        bool // Interrupt comes too late
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
// ErrInterrupted. Writes go on, so that the peer can be told why. When the
// dialogue is over it does nothing.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.interrupted = true
		c.socket.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *Conn) isInterrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupted
}

// setOver ends the dialogue: Interrupt does nothing any more, and what was for
// it alone is let go.
func (c *Conn) setOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.secrets, c.own, c.said = nil, nil, ""
}

// ReadLine sends what was written and returns the next line without its line
// ending, which must be CRLF: what ends in a bare LF may be one line to one
// server and two to another.
func (c *Conn) ReadLine() (string, error) {
	if err := c.await(); err != nil {
		return "", err
	}
	first := !c.started
	if first && !c.Secure() {
		if b, err := c.in.Peek(1); err == nil && b[0] == recordHandshake {
			if c.OffersTLS() {
				return "", ErrTLSEarly
			}
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
	c.started = true
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if first && isHTTP(text) {
		return "", ErrHTTP
	}
	if first && c.isProxyHeader(text) {
		return "", ErrProxyHeader
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
func (c *Conn) await() error { return c.awaitFor(c.step) }

func (c *Conn) awaitFor(d time.Duration) error {
	if err := c.Flush(); err != nil {
		return err
	}
	until := time.Now().Add(d)
	if !c.end.IsZero() && c.end.Before(until) {
		until = c.end
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted {
		return ErrInterrupted
	}
	return c.socket.SetReadDeadline(until) // a later Interrupt's deadline stands
}

// readError is err as the dialogue should see it, which got n octets of what it
// wanted: an end within a line is not the end of a dialogue.
func (c *Conn) readError(err error, n int) error {
	if c.isInterrupted() {
		return ErrInterrupted
	}
	if err == io.EOF && n > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
