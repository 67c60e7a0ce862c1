// Package proxy stands between mail clients that log in with a password and
// upstream servers that want OAuth 2.0, or another password: one session from
// its first byte to its last, what its failures mean to everybody, and what is
// counted of it.
package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xoauthd/xoauthd/proxy/peercred"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// Accounts knows who may log in.
type Accounts interface {
	// LogIn returns the login that an attempt opens. If that fails, the login
	// tells what is known of whose it would have been. The error is an *Error; it
	// takes as long for an unknown name as for a wrong password.
	LogIn(ctx context.Context, a Attempt) (Login, error)
}

// An Attempt is what a client wants to log in with, and where.
type Attempt struct {
	Protocol       string
	Provider       string // whose accounts alone are there; empty: every provider's
	User, Password string

	From   netip.Addr // of the client; invalid if it has none, and so is on this machine
	UID    uint32     // of the client's program on this machine
	HasUID bool       // UID is known
}

// A Login is one of those that an account has.
type Login struct {
	Account Account
	Label   string // which of the account's; empty: the one that has no label
	User    string // who it is at the upstream, for the protocol of the attempt
}

// An Account can log in to its provider's servers.
type Account interface {
	// Name is the account's name, as in the log and the metrics.
	Name() string
	// Upstream is the server for protocol, or nil if the provider has none. It
	// is the same pointer each time.
	Upstream(protocol string) *Upstream
	// Token returns a valid access token or, where the mechanism of the account's
	// upstreams is for one, the password there. It is other than stale, which was
	// refused, or is empty: for a refused password there is only an error. The
	// error is an *Error, with the result UpstreamRefused if there is nothing other
	// than stale and no failure of the provider is the cause.
	Token(ctx context.Context, stale string) (string, error)
	// LoginEnded tells the account how a login at its upstream for protocol ended:
	// nil if the upstream accepted it, otherwise the *Error. It is not called for a
	// login that ended before the upstream had to decide, because the client left
	// or xoauthd stops, say. It returns at once.
	LoginEnded(protocol string, err error)
}

// A Listener is a place where clients come in.
type Listener struct {
	Protocol  string      // "imap", "smtp" or "pop3"
	Provider  string      // whose accounts it serves; empty for all
	Upstreams []*Upstream // those that it can lead to

	// TLS is what a client may begin TLS with; nil: there is none. Begin says when:
	// StartTLS is the zero value. If it is required, there is no login without.
	TLS        *tls.Config
	Begin      Begin
	RequireTLS bool

	// Proxies are the load balancers that alone may connect, and that say by the
	// PROXY protocol whose connections they pass on; empty: clients come themselves.
	Proxies []netip.Prefix

	// LocalUsers are the users of this machine whose programs alone may connect;
	// empty: anybody's.
	LocalUsers []uint32

	// OwnTokens lets clients log in with access tokens of their own, which are
	// passed on to the only upstream.
	OwnTokens bool
}

// mechanisms are those that clients may log in by.
func (l *Listener) mechanisms() []string {
	if l.OwnTokens {
		return sasl.OwnTokens
	}
	return sasl.Passwords
}

// A Begin is when a client begins TLS.
type Begin int

// When clients begin TLS: by a command of the protocol, with the first octet, or
// as they like.
const (
	StartTLS Begin = iota
	ImplicitTLS
	AnyTLS
)

// Limits bound what sessions may cost. Zero values are no limits, but for LogIn
// and Step, which must be set, and Queue and Drain.
type Limits struct {
	Sessions   int           // at a time, logged in or not
	PerAccount int           // logged in at a time
	PerLogin   int           // so for one login of an account
	PerAddress int           // so for one address, or IPv6 network of 64 bits, that is not of this machine
	Queue      time.Duration // for a client that knows the password to wait until it may be logged in
	LogIn      time.Duration // for a client, until it has said who it is
	Step       time.Duration // for one step of a dialogue with an upstream
	Idle       time.Duration // for a relay in which nothing moves
	Drain      time.Duration // for upstreams to answer when xoauthd stops; 0 ends sessions at once
}

// A Server runs sessions.
type Server struct {
	Accounts Accounts
	Limits   Limits
	Log      *slog.Logger
	Metrics  *Metrics

	// Dial connects to an upstream that has no Dial of its own; nil is a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Peers finds the users of connections within this machine. Others may use it,
	// too.
	Peers peercred.Finder

	memory   memory
	refusals refusals
	counts   counts
	queue    queue
	repeats  repeats

	accountSessions accountSessions

	earlyLimit earlyLimit
	ids        atomic.Int64
}

// dialer returns what connects to u.
func (s *Server) dialer(u *Upstream) func(ctx context.Context, network, address string) (net.Conn, error) {
	switch {
	case u.Dial != nil:
		return u.Dial
	case s.Dial != nil:
		return s.Dial
	}
	return (&net.Dialer{KeepAliveConfig: wire.KeepAlive}).DialContext
}

// Serve runs the sessions that come in at ln, which it closes, until ctx is
// done. It then lets clients know, lets relays whose upstream owes an answer go on
// for at most Limits.Drain, and returns nil when the last session has ended. It ends with the
// first error of ln.Accept, so a listener has to get over passing ones by itself.
func (s *Server) Serve(ctx context.Context, ln net.Listener, l *Listener) error {
	defer closeWith(ctx, ln)()
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
		sessions.Go(s.begin(ctx, life, c, l, s.Limits.Sessions))
	}
	if ctx.Err() != nil {
		err = nil
	} else {
		err = fmt.Errorf("accept on %s: %w", ln.Addr(), err)
	}
	defer time.AfterFunc(s.Limits.Drain, end).Stop()
	sessions.Wait()
	s.repeats.flush(s.Log)
	return err
}

// serve runs one session until it ends, or life is done. When stopping is done
// it is to come to an end.
func (s *Server) serve(stopping, life context.Context, c net.Conn, l *Listener) {
	s.begin(stopping, life, c, l, s.Limits.Sessions)()
}

// begin counts a session, of which the caller must call run, and evicts another at
// the limit. It waits for no client: an accept loop calls it, so that the open
// connections are bounded however late run is scheduled.
func (s *Server) begin(stopping, life context.Context, c net.Conn, l *Listener, most int) (run func()) {
	x := s.newSession(c, l)
	ctx, end := context.WithCancel(life)
	x.stopping, x.stop = context.WithCancelCause(stopping)
	x.end = end
	leave, admitted := s.counts.admit(x, most)
	return func() {
		stop := closeWith(life, c)
		err := guard(func() error { return x.run(ctx, admitted) })
		stop()
		end()
		x.stop(nil)
		c.Close()
		leave()
		x.finish(err) // last, as a slow log must not hold descriptors
	}
}

func (s *Server) newSession(c net.Conn, l *Listener) *session {
	x := &session{Server: s, l: l, protocol: protocols[l.Protocol], conn: c}
	x.from, x.source = addrOf(c.RemoteAddr()), s.Peers.Source(c)
	x.record = s.Metrics.begin(l.Protocol, s.ids.Add(1), c.RemoteAddr())
	x.client = wire.New(c, s.Limits.LogIn)
	x.client.Trace = x.tracer("client")
	x.client.SetDeadline(x.record.start.Add(s.Limits.LogIn))
	return x
}

// guard runs f, and makes an error of a panic in it: that ends its session alone.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Fail(Internal, &panicked{p, debug.Stack()})
		}
	}()
	return f()
}

// closeWith closes c when ctx is done. Whoever reads or writes it then gets an
// error, so that a dialogue need not look at ctx between its lines. The caller
// may stop it from doing so, as with context.AfterFunc.
func closeWith(ctx context.Context, c io.Closer) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.Close() })
}
