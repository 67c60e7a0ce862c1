package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"time"
)

// ErrInjected is what whoever can write into a plain connection does, to have it
// taken for what the client says inside TLS (CVE-2011-0411).
const ErrInjected = Violation("something was sent together with the command that begins TLS, and before it")

// OfferTLS lets the peer, a client, begin TLS with config by the command of its
// protocol. If that is required, there is no login before.
func (c *Conn) OfferTLS(config *tls.Config, required bool) {
	c.offered, c.required = config, required
}

// OffersTLS reports whether the peer may begin TLS now.
func (c *Conn) OffersTLS() bool { return c.offered != nil && !c.Secure() }

// NeedsTLS reports whether the peer has to begin TLS before it may log in.
func (c *Conn) NeedsTLS() bool { return c.required && !c.Secure() }

// AcceptTLS begins TLS as the server, with what is offered, after a line that
// says so. Octets that have arrived already are from whoever could write into the
// plain connection: then that line is not sent, and the error is ErrInjected.
// Otherwise it is as BeginTLS says.
func (c *Conn) AcceptTLS(goAhead string) error {
	if c.in.Buffered() > 0 {
		return ErrInjected
	}
	c.Printf("%s", goAhead)
	return c.BeginTLS(c.offered)
}

// BeginTLS begins TLS as the server. What has arrived already is its beginning.
// The handshake has the time of one step, and its octets count among those that
// a peer may send. The error is a *TLSError if the peer and we cannot come
// together. After an error nothing more is sent.
func (c *Conn) BeginTLS(config *tls.Config) error {
	err := c.beginTLS(config)
	c.silent = err != nil
	return err
}

func (c *Conn) beginTLS(config *tls.Config) error {
	if err := c.await(); err != nil {
		return err
	}
	if err := c.awaitSent(); err != nil {
		return err
	}
	if c.sendsProxyHeader() {
		return ErrProxyHeader
	}
	before := c.octets
	if n := c.in.Buffered(); n > 0 {
		c.socket.ahead = make([]byte, n)
		io.ReadFull(c.in, c.socket.ahead) // cannot fail: they are in memory
		c.octets += n
	}
	c.socket.left = MaxOctets - c.octets
	t := tls.Server(c.socket, config)
	err := t.Handshake()
	c.octets, c.socket.left = MaxOctets-c.socket.left, math.MaxInt
	if err != nil {
		return c.tlsError(err, c.octets > before)
	}
	c.enter(t)
	return nil
}

// StartTLS begins TLS as the client. Octets that arrived before it are from
// whoever could write into the plain connection, so there must be none.
func (c *Conn) StartTLS(config *tls.Config) error {
	if err := c.await(); err != nil {
		return err
	}
	if c.in.Buffered() > 0 {
		return errors.New("server sent more than its answer to STARTTLS")
	}
	if err := c.awaitSent(); err != nil {
		return err
	}
	t := tls.Client(c.socket, config)
	if err := t.Handshake(); err != nil {
		return c.readError(err, 0)
	}
	c.enter(t)
	return nil
}

// enter goes on inside t.
func (c *Conn) enter(t *tls.Conn) {
	c.conn = t
	c.in.Reset(t)
	c.started = false // a browser's request may be the first line inside TLS only
	s := t.ConnectionState()
	c.trace(false, fmt.Sprintf("(%s begins, with %s, for %q)", tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite), s.ServerName))
}

// Secure reports whether the connection is inside TLS.
func (c *Conn) Secure() bool { return c.conn != net.Conn(c.socket) }

// TLS tells of the TLS that the connection is inside, or is nil.
func (c *Conn) TLS() *tls.ConnectionState {
	t, ok := c.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	return &state
}

// BeginsTLS waits for at most d for the peer's first octet, and reports whether
// that begins TLS. Who speaks another protocol waits to be greeted.
func (c *Conn) BeginsTLS(d time.Duration) (bool, error) {
	if err := c.awaitFor(d); err != nil {
		return false, err
	}
	first, err := c.in.Peek(1)
	switch {
	case err == nil:
		return first[0] == recordHandshake, nil
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.isInterrupted() && (c.end.IsZero() || time.Now().Before(c.end)):
		return false, nil
	}
	return false, c.readError(err, 0)
}
