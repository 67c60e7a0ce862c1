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

	// Mechanism is "xoauth2" or "oauthbearer" for an access token, "plain" or "login" for a
	// password. "auto" or "" is what the server offers for a token, "password" what it
	// offers for a password.
	Mechanism string

	// Sessions limits the concurrent sessions of an account; 0 is no limit.
	Sessions int

	// Dial connects to it, for example through a proxy; nil is that of the Server.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Unattended is true if no person consents to the tokens, so nobody can have chosen
	// another mailbox.
	Unattended bool

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

// A link is a connection to an upstream.
type link struct {
	client
	conn     *wire.Conn
	protocol *protocol
	upstream *Upstream
	took     time.Duration // time to dial and start the dialogue
}

func (k *link) close() { k.conn.Close() }

// within limits the use of the link to ctx. The dialogue ends a second earlier, because its
// error names the step.
func (k *link) within(ctx context.Context) (stop func() bool) {
	if end, ok := ctx.Deadline(); ok {
		k.conn.SetDeadline(end.Add(-time.Second))
	}
	return closeWith(ctx, k.conn)
}

// dial connects to u and starts the dialogue, until the login can begin. The error is an
// *Error.
func (s *Server) dial(ctx context.Context, p *protocol, u *Upstream, hello string, trace func(bool, string)) (*link, error) {
	start := time.Now()
	dialling, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	nc, err := s.dialer(u)(dialling, "tcp", u.Address())
	if err != nil {
		return nil, Fail(UpstreamDown, fmt.Errorf("connecting: %w", u.secrets().Error(err)))
	}
	k := &link{conn: wire.New(nc, s.Limits.Step), protocol: p, upstream: u}
	k.conn.Trace = trace
	k.conn.SetSecrets(u.secrets())
	defer k.within(ctx)()
	if err := k.begin(hello); err != nil {
		k.close()
		return nil, u.Down(err)
	}
	k.took = time.Since(start)
	return k, nil
}

func (k *link) begin(hello string) (err error) {
	starttls := k.upstream.TLS
	if !k.upstream.STARTTLS {
		if err := k.conn.StartTLS(k.upstream.TLS); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		starttls = nil
	}
	k.client, err = k.protocol.client(k.conn, starttls, hello)
	return err
}

// logIn logs in as user with secret, an access token or a password. The error is an *Error:
// UpstreamRefused if the upstream refuses the secret.
func (k *link) logIn(ctx context.Context, user, secret string) (welcome []string, err error) {
	stop := k.within(ctx)
	defer stop()
	mechanism, err := sasl.Choose(k.upstream.Mechanism, k.Mechanisms())
	if err != nil {
		return nil, Fail(Misconfigured, fmt.Errorf("mechanism: %w", err))
	}
	m, err := sasl.NewClient(mechanism, user, secret, k.upstream.Host, k.upstream.Port)
	if err != nil {
		return nil, Fail(Misconfigured, fmt.Errorf("%s: %w", mechanism, err))
	}
	k.conn.AddSecret(secret)
	welcome, err = k.Authenticate(m)
	switch {
	case err == nil && stop():
		return welcome, nil
	case err == nil: // but ctx has just closed the connection
		return nil, k.upstream.Down(context.Cause(ctx))
	}
	c := m.Challenge()
	if c != "" {
		err = fmt.Errorf("%w (%s)", err, k.conn.Redact(c))
	}
	return nil, k.upstream.Refused(err, c != "")
}

// Reach connects to u until the login could begin, and disconnects. The error is that of a
// session.
func (s *Server) Reach(ctx context.Context, protocol string, u *Upstream) error {
	p := protocols[protocol]
	if p == nil {
		return Fail(Misconfigured, fmt.Errorf("there is no protocol %q", protocol))
	}
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	k, err := s.dial(ctx, p, u, "localhost", nil)
	if err != nil {
		return err
	}
	defer k.close()
	defer k.within(ctx)()
	k.Quit()
	return nil
}

// Try logs in to u as user with an access token or a password, opens the mailbox if the
// protocol has one, and logs out. The error is that of a session.
func (s *Server) Try(ctx context.Context, protocol string, u *Upstream, user, secret string) error {
	p := protocols[protocol]
	if p == nil {
		return Fail(Misconfigured, fmt.Errorf("there is no protocol %q", protocol))
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	k, err := s.dial(ctx, p, u, "localhost", nil)
	if err != nil {
		return err
	}
	defer k.close()
	u.secrets().Add(secret)
	switch _, err := k.logIn(ctx, user, secret); {
	case err != nil && opensLater(err):
		return nil
	case err != nil:
		return err
	}
	defer k.within(ctx)()
	if err := p.open(k.client); err != nil && !opensLater(err) {
		return u.Refused(err, true)
	}
	k.Quit()
	return nil
}

// connect returns a link that is logged in as user with secret. It uses the early
// connection if that still works.
func (s *session) connect(ctx context.Context, u *Upstream, user, secret string) (*link, []string, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	k, err := s.takeEarly(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	if k != nil {
		welcome, err := k.logIn(ctx, user, secret)
		if err == nil || !isLost(err) || ctx.Err() != nil {
			return s.observe(k, start.Add(-k.took), welcome, err)
		}
		k.close()
	}
	k, err = s.dial(ctx, s.protocol, u, s.hello, s.tracer("upstream"))
	if err != nil {
		return nil, nil, err
	}
	welcome, err := k.logIn(ctx, user, secret)
	return s.observe(k, start, welcome, err)
}

// observe records the extensions and the duration of a login.
func (s *session) observe(k *link, start time.Time, welcome []string, err error) (*link, []string, error) {
	if err != nil {
		k.close()
		return nil, nil, err
	}
	s.Metrics.upstreamLogin(s.l.Protocol, k.upstream.Provider, time.Since(start))
	s.memory.keep(k.upstream, k.Extensions())
	return k, welcome, nil
}

// isLost reports whether err means that the connection ended: an early connection may end
// before the client logs in. Some servers send 421 first (RFC 5321 section 3.8).
func isLost(err error) bool {
	e := failure(err)
	return e.Result == UpstreamDown && (failure(e.Err).Result == NoLogin || strings.HasPrefix(e.words, "421 "))
}
