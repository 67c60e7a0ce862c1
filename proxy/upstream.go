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

// What logging in upstream may take. A client waits meanwhile, and most give up
// after 30 or 60 seconds.
const (
	dialTime   = 10 * time.Second
	loginTime  = 20 * time.Second // with that
	answerTime = 28 * time.Second // with the tokens, and a second attempt
)

// An Upstream is a provider's mail server for one protocol.
type Upstream struct {
	Provider string // its name, for metrics and memory
	Host     string
	Port     int
	Family   string      // Google, Microsoft, Yahoo, Apple, or empty: whose words it says
	STARTTLS bool        // TLS begins within the dialogue, not with the connection
	TLS      *tls.Config // ServerName and MinVersion set

	// Mechanism is what logs in: "xoauth2" or "oauthbearer" with an access token,
	// "plain" or "login" with a password; "auto" or "" is what the server offers
	// for an access token, "password" what it offers for a password.
	Mechanism string

	// Sessions is how many an account may have there at one time; 0: any number.
	Sessions int

	// Dial connects to it, through another proxy, say; nil: as the Server does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Unattended says that no person consents to the access tokens: none can
	// have chosen another mailbox.
	Unattended bool

	// Secrets are hidden in what the server sends. The tokens and passwords of
	// accounts are added before they are sent there. nil: those of this server
	// alone.
	Secrets *redact.Secrets

	own redact.Secrets // used if Secrets is nil
}

// secrets are those hidden in what the server sends.
func (u *Upstream) secrets() *redact.Secrets {
	if u.Secrets != nil {
		return u.Secrets
	}
	return &u.own
}

// takesPassword reports whether one logs in with a password.
func (u *Upstream) takesPassword() bool { return u != nil && sasl.TakesPassword(u.Mechanism) }

// Address is host:port.
func (u *Upstream) Address() string { return net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) }

// A link is a connection to an upstream.
type link struct {
	client
	conn     *wire.Conn
	protocol *protocol
	upstream *Upstream
	took     time.Duration // to dial and begin
}

func (k *link) close() { k.conn.Close() }

// within bounds what is done with the link by ctx. The dialogue gives up a
// second earlier than ctx, which could not say in which step it was.
func (k *link) within(ctx context.Context) (stop func() bool) {
	if end, ok := ctx.Deadline(); ok {
		k.conn.SetDeadline(end.Add(-time.Second))
	}
	return closeWith(ctx, k.conn)
}

// dial connects to u and begins the dialogue, up to where one can log in. All
// that has time until ctx is done. The error is an *Error.
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

// logIn logs in as user with an access token or a password, as the upstream's
// mechanism has it. The error is an *Error: UpstreamRefused if it is that secret
// that the upstream does not want.
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

// Reach connects to u up to where one can log in, and leaves again. The error is
// what a session would fail with.
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

// Try logs in at u as user with an access token or, where the mechanism of u is
// for one, a password; opens the mailbox where the protocol has a way to; and
// logs out. The error is what a session would fail with.
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

// connect returns a link that is logged in as user with secret. A link that
// was begun early is used if it is still good.
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

// observe keeps what a login was good for.
func (s *session) observe(k *link, start time.Time, welcome []string, err error) (*link, []string, error) {
	if err != nil {
		k.close()
		return nil, nil, err
	}
	s.Metrics.upstreamLogin(s.l.Protocol, k.upstream.Provider, time.Since(start))
	s.memory.keep(k.upstream, k.Extensions())
	return k, welcome, nil
}

// isLost reports whether err is of a connection that ended, rather than of an
// upstream that said no: an early one may die while the client is thinking. Some
// servers say 421 before they hang up (RFC 5321 section 3.8).
func isLost(err error) bool {
	e := failure(err)
	return e.Result == UpstreamDown && (failure(e.Err).Result == NoLogin || strings.HasPrefix(e.words, "421 "))
}
