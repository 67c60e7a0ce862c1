package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/xoauthd/xoauthd/proxy"
)

// A client is a mail program's library, where there is one: not the dialogue of a
// session, so that two that know nothing of each other have to find the server
// right.
type client interface {
	// mechanisms are those that the server offers.
	mechanisms() ([]string, error)

	authenticate(login) error

	// place is what a program finds after login, in one word.
	place() string

	// look finds out what that is, and takes leave. An error comes with the command
	// that failed. Where a command is optional in its protocol, that is a warning.
	look(s *Step) (command string, err error)
}

// clients begin the protocols, with STARTTLS if the configuration of TLS is not
// nil.
var clients = map[string]func(net.Conn, *tls.Config) (client, error){
	"imap": newIMAP,
	"smtp": newSMTP,
	"pop3": newPOP3,
}

// A link is a connection to an upstream.
type link struct {
	Upstream
	conn   net.Conn // nil if there is none
	client client   // nil as long as one cannot log in
}

// open connects, up to where one can log in.
func (k *link) open(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error), s *Step) error {
	begin := clients[k.Protocol]
	if begin == nil {
		return proxy.Fail(proxy.Misconfigured, fmt.Errorf("there is no protocol %q", k.Protocol))
	}
	conn, err := dial(ctx, "tcp", k.Address())
	if err != nil {
		return fmt.Errorf("connecting: %w", k.Down(err))
	}
	k.conn = bounded(conn)
	defer closeWith(ctx, conn)()
	address := conn.RemoteAddr().String()
	s.Detail = join(address, " ", s.Detail)
	s.fact("address", address)

	var state *tls.ConnectionState
	config := k.TLS.Clone()
	config.ClientSessionCache = nil // a session that is resumed shows no certificate of today
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
			return told(ctx, "TLS", k.Down(err))
		}
		k.conn, starttls, greeting = secure, nil, "greeting"
	}
	if k.client, err = begin(k.conn, starttls); err != nil {
		return told(ctx, greeting, k.Down(err))
	}
	return nil
}

// told is e, which came about in a part of a step. A server's words are told
// without what the library says around them. Where there are none and no time
// was left, that is told instead of how the connection ended then.
func told(ctx context.Context, part string, e *proxy.Error) error {
	switch {
	case e.Words() != "":
		e.Err = errors.New(e.Words())
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

// maxOctets is what a server may send on one connection. An account with ten
// thousand mailboxes takes less than a tenth; the libraries have no bound.
const maxOctets = 16 << 20

// A boundedConn reads no more than it may.
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

// closeWith closes c when ctx is done: the libraries do not look at it.
func closeWith(ctx context.Context, c net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.Close() })
}
