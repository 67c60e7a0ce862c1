package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// Time limits of a login at the upstream. Most clients give up after 30 or 60 seconds.
const (
	dialTime   = 10 * time.Second
	loginTime  = 20 * time.Second // including dialTime
	answerTime = 28 * time.Second // including the token and a second attempt
)

// An Upstream is a provider's mail server for one protocol.
type Upstream struct {
	Provider string // name of the provider, for metrics
	Host     string
	Port     int
	Family   string      // Google, Microsoft, Yahoo, Apple or empty: selects the known replies
	STARTTLS bool        // otherwise implicit TLS
	TLS      *tls.Config // ServerName and MinVersion set

	// InProcess says that Dial connects to a server in this process, so that TLS is not
	// used.
	InProcess bool

	// Mechanism is "xoauth2" or "oauthbearer" for an access token, "plain" or "login" for a
	// password. "auto" or "" is what the server offers for a token, "password" what it
	// offers for a password.
	Mechanism string

	// Sessions limits the concurrent sessions of an account; 0 is no limit.
	Sessions int

	// Dial connects to it, for example through a proxy; nil is that of the Server.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// WithoutConsent is true if no person consents to the tokens, so nobody can have chosen
	// another mailbox.
	WithoutConsent bool

	// Secrets are hidden in what the server sends. Tokens and passwords are added before
	// they are sent. nil is a set of this server only.
	Secrets *redact.Secrets

	own redact.Secrets // used if Secrets is nil
}

// secrets returns the set of hidden secrets.
func (u *Upstream) secrets() *redact.Secrets {
	if u.Secrets != nil {
		return u.Secrets
	}
	return &u.own
}

// takesPassword reports whether the mechanism needs a password.
func (u *Upstream) takesPassword() bool { return u != nil && sasl.TakesPassword(u.Mechanism) }

// Address returns host:port.
func (u *Upstream) Address() string { return net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) }

// An upstreamConn is a connection to an upstream, before and after the login.
type upstreamConn struct {
	clientDialogue
	conn     *wire.Conn
	protocol *protocol
	upstream *Upstream
	openTime time.Duration // to dial and start the dialogue
}

func (u *upstreamConn) close() { u.conn.Close() }

// An upstreamSession is a connection to an upstream after the login.
type upstreamSession struct {
	*upstreamConn
	welcome  []string // capabilities after the login
	releases []func()
}

// onEnd adds a function that end calls.
func (u *upstreamSession) onEnd(release func()) { u.releases = append(u.releases, release) }

// end closes the connection, and frees the slots of the session.
func (u *upstreamSession) end() {
	u.close()
	for _, release := range u.releases {
		release()
	}
}

// closeAtEnd closes the connection when ctx is done. The dialogue ends a second earlier,
// because its error names the step.
func (u *upstreamConn) closeAtEnd(ctx context.Context) (stop func() bool) {
	if end, ok := ctx.Deadline(); ok {
		u.conn.SetDeadline(end.Add(-time.Second))
	}
	return wire.CloseWhenDone(ctx, u.conn)
}

// dial connects to u and starts the dialogue, until the login can begin. The error is an
// *Error.
func (s *Server) dial(ctx context.Context, p *protocol, u *Upstream, hello string, trace func(bool, string)) (*upstreamConn, error) {
	start := time.Now()
	dialling, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	nc, err := s.dialer(u)(dialling, "tcp", u.Address())
	if err != nil {
		return nil, Fail(UpstreamDown, fmt.Errorf("connecting: %w", u.secrets().Error(err)))
	}
	c := &upstreamConn{conn: wire.New(nc, s.Limits.Step), protocol: p, upstream: u}
	c.conn.Trace = trace
	c.conn.SetSecrets(u.secrets())
	defer c.closeAtEnd(ctx)()
	if err := c.startDialogue(hello); err != nil {
		c.close()
		return nil, u.AsUnavailable(err)
	}
	c.openTime = time.Since(start)
	return c, nil
}

func (u *upstreamConn) startDialogue(hello string) (err error) {
	starttls := u.upstream.TLS
	switch {
	case u.upstream.InProcess:
		u.conn.InProcess = true
	case !u.upstream.STARTTLS:
		if err := u.conn.StartTLS(u.upstream.TLS); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		starttls = nil
	}
	u.clientDialogue, err = u.protocol.client(u.conn, starttls, hello)
	return err
}

// logIn logs in as user with secret, an access token or a password. The error is an *Error:
// UpstreamRefused if the upstream refuses the secret.
func (u *upstreamConn) logIn(ctx context.Context, user, secret string) (*upstreamSession, error) {
	stop := u.closeAtEnd(ctx)
	defer stop()
	mechanism, err := sasl.Choose(u.upstream.Mechanism, u.Mechanisms())
	if err != nil {
		return nil, Fail(Misconfigured, fmt.Errorf("mechanism: %w", err))
	}
	m, err := sasl.NewClient(mechanism, user, secret, u.upstream.Host, u.upstream.Port)
	if err != nil {
		return nil, Fail(Misconfigured, fmt.Errorf("%s: %w", mechanism, err))
	}
	u.conn.AddSecret(secret)
	welcome, err := u.Authenticate(m)
	switch {
	case err == nil && stop():
		return &upstreamSession{upstreamConn: u, welcome: welcome}, nil
	case err == nil: // but ctx has just closed the connection
		return nil, u.upstream.AsUnavailable(context.Cause(ctx))
	}
	c := m.Challenge()
	if c != "" {
		err = fmt.Errorf("%w (%s)", err, u.conn.Redact(c))
	}
	return nil, u.upstream.AsRefusal(err, c != "")
}

// connect returns a session at u that is logged in as user with secret. It uses the early
// connection if that still works.
func (s *session) connect(ctx context.Context, u *Upstream, user, secret string) (*upstreamSession, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	c, err := s.takeEarly(ctx, u)
	if err != nil {
		return nil, err
	}
	if c != nil {
		session, err := c.logIn(ctx, user, secret)
		if err == nil || !isLost(err) || ctx.Err() != nil {
			return s.loggedIn(c, start.Add(-c.openTime), session, err)
		}
		c.close()
	}
	c, err = s.server.dial(ctx, s.protocol, u, s.hello, s.tracer("upstream"))
	if err != nil {
		return nil, err
	}
	session, err := c.logIn(ctx, user, secret)
	return s.loggedIn(c, start, session, err)
}

// loggedIn records the extensions of the upstream and the duration of a login. If the login
// has failed, it closes c.
func (s *session) loggedIn(c *upstreamConn, start time.Time, session *upstreamSession, err error) (*upstreamSession, error) {
	if err != nil {
		c.close()
		return nil, err
	}
	s.server.Metrics.upstreamLogin(s.listener.Protocol, c.upstream.Provider, time.Since(start))
	s.server.extensions.store(c.upstream, c.Extensions())
	return session, nil
}

// isLost reports whether err means that the connection ended: an early connection may end
// before the client logs in. Some servers send 421 first (RFC 5321 section 3.8).
func isLost(err error) bool {
	e := asError(err)
	return e.Result == UpstreamDown && (asError(e.Err).Result == NoLogin || strings.HasPrefix(e.reply, "421 "))
}
