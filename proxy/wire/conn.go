// Package wire implements the line-based connections that IMAP, SMTP and POP3 use
// until login. A Conn limits the size and the duration of the dialogue, starts TLS,
// keeps secrets out of traces, and becomes a Stream of octets for the relay.
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

// Limits on what a peer sends before login. Real clients and servers stay far below.
const (
	// MaxLine is the maximum length of a line in octets, including CRLF. RFC 4954
	// section 4 requires 12288 octets for a line of an AUTH exchange.
	MaxLine = 16 << 10

	// MaxLines is the maximum number of lines. A server with thirty extensions
	// lists them twice, before and after STARTTLS.
	MaxLines = 100

	// MaxOctets is the maximum number of octets in total, including literals.
	MaxOctets = 64 << 10
)

// A Violation is a protocol error of the peer after which the dialogue cannot
// continue.
type Violation string

func (v Violation) Error() string { return string(v) }

// The violations that a Conn detects.
var (
	ErrLineTooLong = Violation(fmt.Sprintf("line longer than %d octets", MaxLine))
	ErrTooMuch     = Violation(fmt.Sprintf("more than %d lines or %d octets before login", MaxLines, MaxOctets))
	ErrBareLF      = Violation("line ends in LF instead of CRLF")
	ErrTLS         = Violation("client started TLS, but this listener has no TLS: set encryption to none in the client, or tls of the listener to \"implicit\" or \"auto\"")
	ErrTLSEarly    = Violation("client started TLS on a port that begins in plain text: set encryption to STARTTLS in the client")

	// ErrHTTP may be an attack: a web page can make a browser send a request to
	// this port, with mail commands in its body.
	ErrHTTP = Violation("HTTP request on a mail port")
)

// ErrInterrupted is the error of reads after Interrupt.
var ErrInterrupted = errors.New("interrupted")

// readBufferSize is the size of the read buffer in octets. It holds almost every
// line, and it is most of the memory that an idle pre-auth session costs.
const readBufferSize = 2 << 10

// Timeouts at the end of a dialogue.
const (
	// finalWriteTimeout is the time to send a final reply after the deadline.
	finalWriteTimeout = 5 * time.Second

	// lingerTimeout is the time for which Linger discards input.
	lingerTimeout = time.Second
)

// recordHandshake is the first octet of a TLS connection (RFC 8446 section 5.1).
const recordHandshake = 0x16

// A Conn is the connection to one peer of a dialogue. Written lines go to a buffer,
// which the next read sends first. That read also reports a failed write, so that
// each exchange has one error. Only Interrupt and Close may be called concurrently
// with other methods.
type Conn struct {
	// Trace, if not nil, is called with each line, without secrets. sent is true
	// for lines that the Conn sends and false for lines that it receives.
	Trace func(sent bool, line string)

	// BareLF accepts lines that end in LF alone. It is for a dialogue whose lines are not
	// passed on as they are.
	BareLF bool

	// InProcess says that the peer is in this process, so that Secure is true without TLS.
	InProcess bool

	conn   net.Conn // the socket, or a *tls.Conn over it
	socket *socket
	in     *bufio.Reader
	out    []byte
	err    error // the first write error

	timeout  time.Duration // for one read or one write
	deadline time.Time     // for the whole dialogue; zero means none

	offeredTLS  *tls.Config // for AcceptTLS; nil if the peer cannot begin TLS
	requiredTLS bool        // before login
	muted       bool        // drop all output: the peer would not understand it

	unread []byte // input for Stream that comes before that of in

	lines, octets int  // read so far
	started       bool // a line has been read since the connection or TLS began

	secrets    *redact.Secrets // shared; may be nil
	ownSecrets *redact.Secrets // of this connection only; may be nil
	redactTail string          // the end of the text that Redact has seen

	mu          sync.Mutex // guards the fields below
	interrupted bool
	done        bool // the dialogue has ended; Interrupt has no effect
}

// New returns a Conn over c. Each read and each write must complete within timeout.
func New(c net.Conn, timeout time.Duration) *Conn {
	s := newSocket(c)
	return &Conn{conn: s, socket: s, in: bufio.NewReaderSize(s, readBufferSize), timeout: timeout}
}

// SetDeadline sets the time at which the whole dialogue must have ended; reads fail
// after t. Without it, a peer that sends one octet at a time could hold the
// connection forever.
func (c *Conn) SetDeadline(t time.Time) { c.deadline = t }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// Close closes the connection immediately. Lines that have not been sent are lost.
func (c *Conn) Close() error { return c.socket.Close() }

// Interrupt makes the current read and all later ones return ErrInterrupted. Writes
// still work, so that a reply can give the reason. After the dialogue has ended,
// Interrupt has no effect. It may be called concurrently.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.done {
		c.interrupted = true
		c.socket.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *Conn) isInterrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupted
}

// setDone ends the dialogue: it disables Interrupt and releases the secrets.
func (c *Conn) setDone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	c.secrets, c.ownSecrets, c.redactTail = nil, nil, ""
}

// ReadLine sends the written lines and returns the next line of the peer, without
// its line ending. A line must end in CRLF: one server might take a line with a bare
// LF as one line, and another server as two.
func (c *Conn) ReadLine() (string, error) {
	if err := c.prepareRead(); err != nil {
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
		return "", ErrUnexpectedProxyHeader
	}
	if !ok && !c.BareLF {
		return "", ErrBareLF
	}
	return strings.TrimSuffix(text, "\n"), nil
}

// UnreadLine makes line the first input of Stream. It ends the dialogue: nothing more may
// be read before Stream.
func (c *Conn) UnreadLine(line string) { c.unread = []byte(line + "\r\n") }

// isHTTP reports whether line is the first line of an HTTP request (RFC 9112 section
// 3).
func isHTTP(line string) bool {
	return strings.Contains(line, " HTTP/1.") || strings.HasPrefix(line, "PRI * HTTP/2")
}

// ReadN sends the written lines and returns the next n octets of the peer.
func (c *Conn) ReadN(n int) ([]byte, error) {
	if err := c.prepareRead(); err != nil {
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

// prepareRead sends the written lines and sets the deadline of the next read.
func (c *Conn) prepareRead() error { return c.prepareReadWithin(c.timeout) }

func (c *Conn) prepareReadWithin(d time.Duration) error {
	if err := c.Flush(); err != nil {
		return err
	}
	until := time.Now().Add(d)
	if !c.deadline.IsZero() && c.deadline.Before(until) {
		until = c.deadline
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted {
		return ErrInterrupted
	}
	return c.socket.SetReadDeadline(until) // under mu, so that it cannot overwrite that of Interrupt
}

// readError converts the error of a read that returned n octets before it failed. An
// end of file within a line is io.ErrUnexpectedEOF.
func (c *Conn) readError(err error, n int) error {
	if c.isInterrupted() {
		return ErrInterrupted
	}
	if err == io.EOF && n > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
