// Package proxy runs the sessions of mail clients that log in with a local password. It
// logs in to the upstream with OAuth 2.0, or with another password, and relays. It defines
// the results of sessions, with their replies, log lines and metrics.
package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xoauthd/xoauthd/internal/panics"
	"github.com/xoauthd/xoauthd/proxy/limit"
	"github.com/xoauthd/xoauthd/proxy/peercred"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// Accounts checks local passwords.
type Accounts interface {
	// LogIn returns the login for the credentials of an attempt. If it fails, the returned
	// login has what is known of the account. The error is an *Error. It takes as long for
	// an unknown user name as for a wrong password.
	LogIn(ctx context.Context, a Attempt) (Login, error)
}

// An Attempt has the credentials of a client, and where it connects.
type Attempt struct {
	Protocol       string
	Provider       string // the only provider of the listener; empty is all
	User, Password string

	From   netip.Addr // address of the client; invalid for a unix socket
	UID    uint32     // of the client's program on this machine
	HasUID bool       // UID is known
}

// A Login is one of the logins of an account.
type Login struct {
	Account  Account
	Provider string // name of the account's provider, for errors
	Label    string // empty for the account's own password
	User     string // user name at the upstream, for the protocol of the attempt
}

// An Account logs in to the servers of its provider.
type Account interface {
	// Name returns the name for log and metrics.
	Name() string
	// Upstream returns the server for protocol, or nil if the provider has none. It returns
	// the same pointer each time.
	Upstream(protocol string) *Upstream
	// Token returns a valid access token, or the password for the upstream if its mechanism
	// needs one. The result differs from stale, which is a refused token or empty; for a
	// refused password, Token returns an error. The error is an *Error. Its result is
	// UpstreamRefused if there is no other token and the provider has not failed.
	Token(ctx context.Context, stale string) (string, error)
	// LoginEnded reports the result of a login at the upstream for protocol: nil if the
	// upstream accepted it, otherwise the *Error. It is not called for a login that ended
	// before the decision of the upstream, for example because the client left. It must not
	// block.
	LoginEnded(protocol string, err error)
}

// A Listener has the settings of an address that clients connect to.
type Listener struct {
	Protocol  string      // "imap", "smtp" or "pop3"
	Provider  string      // serves the accounts of this provider; empty is all
	Upstreams []*Upstream // upstreams of its accounts

	// TLS is the TLS configuration; nil is no TLS. TLSMode is when TLS starts; the zero value
	// is StartTLS. If RequireTLS is set, there is no login without TLS.
	TLS        *tls.Config
	TLSMode    TLSMode
	RequireTLS bool

	// Proxies are load balancers. Only they may connect, and they must send a PROXY header.
	// Empty is none.
	Proxies []netip.Prefix

	// Devices are the networks of clients that send mail without a login, and of no others.
	// The upstream of the listener then expects no login; ClientOf tells its Dial the
	// address of the client. Empty is none.
	Devices []netip.Prefix

	// LocalUsers are the users of this machine whose programs may connect. Empty is all.
	LocalUsers []uint32

	// OwnTokens allows clients to log in with access tokens of their own, which are passed
	// to the only upstream.
	OwnTokens bool
}

// mechanisms returns the SASL mechanisms for clients.
func (l *Listener) mechanisms() []string {
	if l.OwnTokens {
		return sasl.OwnTokens
	}
	return sasl.Passwords
}

// A TLSMode is when a client starts TLS.
type TLSMode int

// TLS starts by a command of the protocol, with the first byte, or either.
const (
	StartTLS TLSMode = iota
	ImplicitTLS
	AnyTLS
)

// Limits limit sessions. Zero is no limit, except for LogIn and Step, which must be set,
// and Queue and Drain.
type Limits struct {
	Sessions   int           // at a time, logged in or not
	PerAccount int           // logged in at a time
	PerLogin   int           // the same for one login of an account
	PerAddress int           // the same for one address, or IPv6 network of 64 bits, of another machine
	Queue      time.Duration // for an authenticated client to wait for a slot
	LogIn      time.Duration // for a client, until it has sent its credentials
	Step       time.Duration // for one step of a dialogue with an upstream
	Idle       time.Duration // for a relay without traffic
	Drain      time.Duration // for upstreams to send the replies that they owe when xoauthd stops; 0 ends sessions at once
}

// Connections returns how many clients may be connected at a time: those of sessions, and
// those of evicted sessions that are told why.
func (l Limits) Connections() int { return l.Sessions + limit.MaxEvicted(l.Sessions) }

// noLimit admits a session however many there are.
const noLimit = 0

// A Server runs sessions.
type Server struct {
	Accounts Accounts
	Limits   Limits
	Log      *slog.Logger
	Metrics  *Metrics

	// Dial connects to an upstream without a Dial of its own; nil is net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Peers finds the users of connections within this machine. It may be shared.
	Peers peercred.Finder

	extensions      extensionCache
	passwordBackoff passwordBackoff
	conns           limit.Conns
	semaphore       limit.Semaphore
	repeats         repeats
	accountFailures accountFailures
	accountSessions accountSessions
	earlyLimit      earlyLimit
	lastID          atomic.Int64 // of a session
}

// dialer returns the dial function for u.
func (s *Server) dialer(u *Upstream) func(ctx context.Context, network, address string) (net.Conn, error) {
	switch {
	case u.Dial != nil:
		return u.Dial
	case s.Dial != nil:
		return s.Dial
	}
	return (&net.Dialer{KeepAliveConfig: wire.KeepAlive}).DialContext
}

// Serve accepts and runs sessions until ctx is done, and closes ln. It then ends sessions
// whose upstream owes no reply, lets the others go on for at most Limits.Drain, and returns
// nil when the last session has ended. It returns the first error of ln.Accept: the
// listener must handle temporary errors itself.
func (s *Server) Serve(ctx context.Context, ln net.Listener, l *Listener) error {
	defer wire.CloseWhenDone(ctx, ln)()
	defer ln.Close()
	if protocols[l.Protocol] == nil {
		return fmt.Errorf("there is no protocol %q", l.Protocol)
	}

	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var sessions sync.WaitGroup
	var err error
	for {
		var c net.Conn
		if c, err = ln.Accept(); err != nil {
			break
		}
		sessions.Go(s.accept(ctx, life, c, l, s.Limits.Sessions))
	}
	if ctx.Err() != nil {
		err = nil
	} else {
		err = fmt.Errorf("accept on %s: %w", ln.Addr(), err)
	}
	defer time.AfterFunc(s.Limits.Drain, end).Stop()
	sessions.Wait()
	s.repeats.flush(s.Log)
	s.accountFailures.flush(s.Log)
	return err
}

// accept registers a session, and evicts another if there are more than max. The caller must
// call run, which runs the session. When stopping is done, the session drains; when life is
// done, it ends at once. accept does not wait for clients: the accept loop calls it, so that
// open connections are limited however late run is scheduled.
func (s *Server) accept(stopping, life context.Context, c net.Conn, l *Listener, max int) (run func()) {
	x := s.newSession(c, l)
	ctx, cancel := context.WithCancel(life)
	x.stopping, x.stop = context.WithCancelCause(stopping)
	x.cancel = cancel
	x.counted = limit.Conn{
		Source: x.source,
		Evict:  func() { cancel(); x.client.Interrupt() },
		Close:  func() { x.client.Close() },
	}
	admitted := s.conns.Admit(&x.counted, max)
	return func() {
		stop := wire.CloseWhenDone(life, c)
		err := panics.Catch(func() error { return x.run(ctx, admitted) })
		stop()
		cancel()
		x.stop(nil)
		c.Close()
		s.conns.Leave(&x.counted)
		x.logEnd(err) // last, as a slow log must not hold descriptors
	}
}

func (s *Server) newSession(c net.Conn, l *Listener) *session {
	x := &session{server: s, listener: l, protocol: protocols[l.Protocol], conn: c}
	x.from, x.source = addrOf(c.RemoteAddr()), s.Peers.Source(c)
	x.record = s.Metrics.sessionStarted(l.Protocol, s.lastID.Add(1), c.RemoteAddr())
	x.client = wire.New(c, s.Limits.LogIn)
	x.client.Trace = x.tracer("client")
	x.client.SetDeadline(x.record.start.Add(s.Limits.LogIn))
	return x
}
