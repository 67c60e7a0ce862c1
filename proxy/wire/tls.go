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

// ErrInjected is the error of data that arrives together with the command that
// begins TLS. An attacker who can write to the plain connection sends it so that the
// server takes it for data of the client inside TLS (CVE-2011-0411).
const ErrInjected = Violation("data sent after the command that begins TLS")

// OfferTLS lets a client begin TLS with config, by its protocol's command. If
// required is true, the client cannot log in before it does.
func (c *Conn) OfferTLS(config *tls.Config, required bool) {
	c.offeredTLS, c.requiredTLS = config, required
}

// OffersTLS reports whether the client can begin TLS now.
func (c *Conn) OffersTLS() bool { return c.offeredTLS != nil && !c.Secure() }

// NeedsTLS reports whether the client must begin TLS before login.
func (c *Conn) NeedsTLS() bool { return c.requiredTLS && !c.Secure() }

// AcceptTLS sends the line goAhead and begins TLS as the server, with the
// configuration of OfferTLS. If data has already arrived after the command,
// AcceptTLS sends nothing and returns ErrInjected: an attacker could have written
// it. Otherwise it behaves as BeginTLS.
func (c *Conn) AcceptTLS(goAhead string) error {
	if c.in.Buffered() > 0 {
		return ErrInjected
	}
	c.Printf("%s", goAhead)
	return c.BeginTLS(c.offeredTLS)
}

// BeginTLS begins TLS as the server. Data that has already arrived is the beginning
// of the handshake. The handshake must complete within one timeout, and its octets
// count towards MaxOctets. The error is a *TLSError if the handshake fails for a TLS
// reason. After an error the Conn sends nothing more.
func (c *Conn) BeginTLS(config *tls.Config) error {
	err := c.beginTLS(config)
	c.muted = err != nil
	return err
}

func (c *Conn) beginTLS(config *tls.Config) error {
	if err := c.prepareRead(); err != nil {
		return err
	}
	if err := c.setWriteDeadline(); err != nil {
		return err
	}
	if c.startsWithProxyHeader() {
		return ErrUnexpectedProxyHeader
	}
	before := c.octets
	if n := c.in.Buffered(); n > 0 {
		c.socket.buffered = make([]byte, n)
		io.ReadFull(c.in, c.socket.buffered) // cannot fail: the data is in memory
		c.octets += n
	}
	c.socket.budget = MaxOctets - c.octets
	t := tls.Server(c.socket, config)
	err := t.Handshake()
	c.octets, c.socket.budget = MaxOctets-c.socket.budget, math.MaxInt
	if err != nil {
		return c.tlsError(err, c.octets > before)
	}
	c.switchToTLS(t)
	return nil
}

// StartTLS begins TLS as the client. It fails if data has already arrived: an
// attacker could have written it to the plain connection.
func (c *Conn) StartTLS(config *tls.Config) error {
	if err := c.prepareRead(); err != nil {
		return err
	}
	if c.in.Buffered() > 0 {
		return errors.New("server sent more than its answer to STARTTLS")
	}
	if err := c.setWriteDeadline(); err != nil {
		return err
	}
	t := tls.Client(c.socket, config)
	if err := t.Handshake(); err != nil {
		return c.readError(err, 0)
	}
	c.switchToTLS(t)
	return nil
}

// switchToTLS continues the dialogue inside t.
func (c *Conn) switchToTLS(t *tls.Conn) {
	c.conn = t
	c.in.Reset(t)
	c.started = false // a browser's request may be the first line inside TLS
	s := t.ConnectionState()
	c.trace(false, fmt.Sprintf("(%s begins, with %s, for %q)", tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite), s.ServerName))
}

// Secure reports whether the connection is inside TLS or in this process.
func (c *Conn) Secure() bool { return c.InProcess || c.conn != net.Conn(c.socket) }

// TLS returns the state of the TLS connection, or nil outside TLS.
func (c *Conn) TLS() *tls.ConnectionState {
	t, ok := c.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	return &state
}

// DetectTLS waits up to d for the first octet of the client and reports whether it
// begins TLS. It returns false if nothing arrives: a client that speaks a mail
// protocol waits for the greeting. It consumes nothing.
func (c *Conn) DetectTLS(d time.Duration) (bool, error) {
	if err := c.prepareReadWithin(d); err != nil {
		return false, err
	}
	first, err := c.in.Peek(1)
	switch {
	case err == nil:
		return first[0] == recordHandshake, nil
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.isInterrupted() && (c.deadline.IsZero() || time.Now().Before(c.deadline)):
		return false, nil
	}
	return false, c.readError(err, 0)
}
