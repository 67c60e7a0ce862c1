package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// A client is a mail program's library, where there is one: not the dialogue of a
// session, so that two that know nothing of each other have to find the server
// right.
type client interface {
	// mechanisms are those that the server offers.
	mechanisms() ([]string, error)

	authenticate(login) error

	// look finds out what one sees after login, and takes leave. An error names
	// the command.
	look(ctx context.Context, s *Step) error
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
		return proxy.Fail(proxy.UpstreamDown, named(ctx, "connecting", err))
	}
	k.conn = bounded(conn)
	defer closeWith(ctx, conn)()
	s.Detail = conn.RemoteAddr().String()
	s.fact("address", s.Detail)

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
			return proxy.Fail(proxy.UpstreamDown, named(ctx, "TLS", err))
		}
		k.conn, starttls, greeting = secure, nil, "greeting"
	}
	if k.client, err = begin(k.conn, starttls); err != nil {
		return proxy.Fail(proxy.UpstreamDown, named(ctx, greeting, refusal(err)))
	}
	return nil
}

func (k *link) close() {
	if k.conn != nil {
		k.conn.Close()
	}
}

// login logs in with secret, looks around and logs out.
func (x *examination) login(ctx context.Context, k *link, secret string) {
	name := strings.ToUpper(k.Protocol) + " login at " + k.Address()
	switch {
	case k.client == nil:
		x.skip(name, "there is no connection")
		return
	case secret == "":
		x.skip(name, "there is nothing to log in with")
		return
	}
	x.step(ctx, name, loginTime, func(ctx context.Context, s *Step) error {
		defer k.close()
		defer closeWith(ctx, k.conn)()
		l, err := x.mechanism(ctx, k, secret)
		if err != nil {
			return err
		}
		s.fact("mechanism", l.mechanism)
		s.fact("user", l.user)
		if err := k.client.authenticate(l); err != nil {
			err = refusal(err)
			if c := l.Challenge(); c != "" {
				err = fmt.Errorf("%w (%s)", err, c)
			}
			return named(ctx, l.mechanism, err)
		}
		s.Detail = l.mechanism + " as " + l.user
		return k.client.look(ctx, s)
	})
}

// A login is a mechanism, and what it logs in with.
type login struct {
	sasl.Client
	mechanism, user, secret string
}

// mechanism returns the one to log in by, as a session chooses it.
func (x *examination) mechanism(ctx context.Context, k *link, secret string) (login, error) {
	offered, err := k.client.mechanisms()
	if err != nil {
		return login{}, named(ctx, "capabilities", refusal(err))
	}
	name, err := sasl.Choose(k.Mechanism, offered)
	if err != nil {
		return login{}, proxy.Fail(proxy.Misconfigured, fmt.Errorf("mechanism: %w", err))
	}
	m, err := sasl.NewClient(name, k.User, secret, k.Host, k.Port)
	if err != nil {
		return login{}, proxy.Fail(proxy.Misconfigured, fmt.Errorf("%s: %w", name, err))
	}
	return login{m, name, k.User, secret}, nil
}

// refusal makes of err the failure that it is to a session: UpstreamRefused with
// the server's words if it said no, and UpstreamDown otherwise.
func refusal(err error) error {
	var i *imap.Error
	var r *smtp.SMTPError
	var p pop3Error
	words, passing := "", false
	switch {
	case errors.As(err, &i):
		words = string(i.Type) + " "
		if i.Code != "" {
			words += "[" + string(i.Code) + "] "
		}
		words += i.Text
		switch i.Code {
		case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeLimit, imap.ResponseCodeServerBug:
			passing = true
		}
	case errors.As(err, &r):
		words = fmt.Sprintf("%d ", r.Code)
		if e := r.EnhancedCode; e[0] > 0 {
			words += fmt.Sprintf("%d.%d.%d ", e[0], e[1], e[2])
		}
		words, passing = words+r.Message, r.Temporary()
	case errors.As(err, &p):
		words, passing = p.Error(), p.Temporary()
	default:
		return proxy.Fail(proxy.UpstreamDown, err)
	}
	result := proxy.UpstreamRefused
	if passing {
		result = proxy.UpstreamDown
	}
	return &proxy.Error{Result: result, Detail: words, Err: errors.New(words)}
}

// isRefusal reports whether err has a server's own words.
func isRefusal(err error) bool {
	var e *proxy.Error
	return errors.As(err, &e) && e.Detail != ""
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
