package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/pires/go-proxyproto"
)

// What a peer can do wrong before, or with, TLS.
var (
	// ErrInjected is what whoever can write into a plain connection does, to have
	// it taken for what the client says inside TLS (CVE-2011-0411).
	ErrInjected = Violation("something was sent together with the command that begins TLS, and before it")

	// ErrNoProxy is a peer that is to speak the PROXY protocol, and does not.
	ErrNoProxy = Violation("no header of the PROXY protocol")
)

// OfferTLS lets the peer, a client, begin TLS with config by the command of its
// protocol. If that is required, there is no login before.
func (c *Conn) OfferTLS(config *tls.Config, required bool) {
	c.offered, c.required = config, required
}

// OffersTLS reports whether the peer may begin TLS now.
func (c *Conn) OffersTLS() bool { return c.offered != nil && !c.Secure() }

// NeedsTLS reports whether the peer has to begin TLS before it may log in.
func (c *Conn) NeedsTLS() bool { return c.required && !c.Secure() }

// AcceptTLS begins TLS as the server, after a line that says so. Octets that
// have arrived already are from whoever could write into the plain connection:
// then nothing is said, and the error is ErrInjected.
func (c *Conn) AcceptTLS(goAhead string) error {
	if c.in.Buffered() > 0 {
		return ErrInjected
	}
	c.Printf("%s", goAhead)
	return c.BeginTLS(c.offered)
}

// BeginTLS begins TLS as the server. What has arrived already is its beginning.
func (c *Conn) BeginTLS(config *tls.Config) error {
	if err := c.await(); err != nil {
		return err
	}
	if err := c.awaitSent(); err != nil {
		return err
	}
	if n := c.in.Buffered(); n > 0 {
		c.socket.ahead = make([]byte, n)
		io.ReadFull(c.in, c.socket.ahead) // cannot fail: they are in memory
	}
	t := tls.Server(c.socket, config)
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("TLS: %w", c.readError(err, 0))
	}
	c.conn = t
	c.in.Reset(t)
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
	c.conn = t
	c.in.Reset(t)
	return nil
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

// ReadProxyHeader reads what a load balancer sends before all else: whose
// connection it passes on, by version 1 or 2 of the PROXY protocol. It is nil if
// the connection is the load balancer's own, to see whether we are well.
func (c *Conn) ReadProxyHeader() (client net.Addr, err error) {
	if err := c.await(); err != nil {
		return nil, err
	}
	header, err := proxyproto.Read(c.in)
	switch {
	case errors.Is(err, proxyproto.ErrNoProxyProtocol):
		return nil, ErrNoProxy
	case err != nil:
		return nil, c.readError(err, 0)
	case header.Command.IsLocal():
		return nil, nil
	}
	return header.SourceAddr, nil
}
