package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A client is an independent implementation of a protocol, mostly a library. It is not
// the dialogue of a session: a mistake in one of them does not hide in the other.
type client interface {
	// mechanisms returns the SASL mechanisms that the server offers.
	mechanisms() ([]string, error)

	authenticate(login) error

	// place returns "mailbox" or "session": what inspect looks at.
	place() string

	// inspect looks at the mailbox or session after the login, and logs out. An error comes
	// with the command that failed. The failure of an optional command is a warning.
	inspect(s *step.Step) (command string, err error)
}

// clients starts a client for each protocol, with STARTTLS if config is not nil.
var clients = map[string]func(net.Conn, *tls.Config) (client, error){
	"imap": newIMAP,
	"smtp": newSMTP,
	"pop3": newPOP3,
}

// A link is a connection to a mail server.
type link struct {
	Upstream
	conn   net.Conn // nil if there is none
	client client   // nil until the connection is ready for a login
}

// open connects, until the connection is ready for a login.
func (k *link) open(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), s *step.Step) error {
	begin := clients[k.Protocol]
	if begin == nil {
		return proxy.Fail(proxy.Misconfigured, fmt.Errorf("there is no protocol %q", k.Protocol))
	}
	conn, err := dial(ctx, "tcp", k.Address())
	if err != nil {
		return fmt.Errorf("connecting: %w", k.AsUnavailable(err))
	}
	k.conn = bounded(conn)
	defer wire.CloseWhenDone(ctx, conn)()
	address := conn.RemoteAddr().String()
	s.Detail = step.Join(address, " ", s.Detail)
	s.AddFact("address", address)

	var state *tls.ConnectionState
	config := k.TLS.Clone()
	config.ClientSessionCache = nil // a resumed session would show an old certificate
	config.VerifyConnection = func(c tls.ConnectionState) error {
		state = &c
		return nil
	}
	if err := k.begin(ctx, begin, config); err != nil {
		describeCertificate(s, unverified(err))
		return err
	}
	if k.STARTTLS {
		s.Detail += ", STARTTLS"
	}
	describeTLS(s, state)
	return nil
}

func (k *link) begin(ctx context.Context, begin func(net.Conn, *tls.Config) (client, error), config *tls.Config) (err error) {
	starttls, greeting := config, "STARTTLS"
	if !k.STARTTLS {
		secure := tls.Client(k.conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return stepError(ctx, "TLS", k.AsUnavailable(err))
		}
		k.conn, starttls, greeting = secure, nil, "greeting"
	}
	if k.client, err = begin(k.conn, starttls); err != nil {
		return stepError(ctx, greeting, k.AsUnavailable(err))
	}
	return nil
}

// stepError returns e as the error of a part of a step. It keeps the words of a server
// without those of the library. If there are none and the time limit was reached, it
// returns that instead of how the connection ended.
func stepError(ctx context.Context, part string, e *proxy.Error) error {
	switch {
	case e.Reply() != "":
		e.Err = errors.New(e.Reply())
	case ctx.Err() != nil:
		e.Err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", part, e)
}

func (k *link) close() {
	if k.conn != nil {
		k.conn.Close()
	}
	k.conn, k.client = nil, nil
}

// maxOctets limits what a server may send on one connection. An account with ten thousand
// mailboxes needs less than a tenth of it. The libraries have no limit.
const maxOctets = 16 << 20

// A boundedConn limits what is read from a connection.
type boundedConn struct {
	net.Conn
	left int
}

func bounded(c net.Conn) net.Conn { return &boundedConn{c, maxOctets} }

func (b *boundedConn) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the server sends without end")
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
