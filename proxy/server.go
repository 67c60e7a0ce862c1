// Package proxy stands between mail clients that log in with a password and
// upstream servers that want OAuth 2.0, or another password: one session from
// its first byte to its last, what its failures mean to everybody, and what is
// counted of it.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// Accounts knows who may log in.
type Accounts interface {
	// LogIn returns the account that a local user name and password open. If
	// provider is not empty, only its accounts are there. The error is an
	// *Error; it takes as long for an unknown name as for a wrong password.
	LogIn(ctx context.Context, provider, user, password string) (Account, error)
}

// An Account can log in to its provider's servers.
type Account interface {
	// Name is the account's name, as in the log and the metrics.
	Name() string
	// Upstream is the server for protocol, or nil if the provider has none. It
	// is the same pointer each time.
	Upstream(protocol string) *Upstream
	// User is who the account is at its upstream for protocol: its own name, but
	// for mailboxes that several share.
	User(protocol string) string
	// Token returns a valid access token or, where the mechanism of the account's
	// upstreams is for one, the password there. It is other than stale, which was
	// refused, or is empty: for a refused password there is only an error. The
	// error is an *Error.
	Token(ctx context.Context, stale string) (string, error)
}

// A Listener is a place where clients come in.
type Listener struct {
	Protocol  string      // "imap", "smtp" or "pop3"
	Provider  string      // whose accounts it serves; empty for all
	Upstreams []*Upstream // those that it can lead to
}

// Limits bound what sessions may cost. Zero values are no limits, but for LogIn
// and Step, which must be set, and Drain.
type Limits struct {
	Sessions   int           // at a time, logged in or not
	PerAccount int           // logged in at a time
	LogIn      time.Duration // for a client, until it has said who it is
	Step       time.Duration // for one step of a dialogue with an upstream
	Idle       time.Duration // for a relay in which nothing moves
	Drain      time.Duration // for sessions that are busy when xoauthd stops; 0 ends them at once
}

// A Server runs sessions.
type Server struct {
	Accounts Accounts
	Limits   Limits
	Log      *slog.Logger
	Metrics  *Metrics

	// Dial connects to an upstream; nil is a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	memory   memory
	refusals refusals
	counts   counts
	ids      atomic.Int64
}

func (s *Server) dialer(ctx context.Context, network, address string) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, network, address)
	}
	return (&net.Dialer{KeepAliveConfig: wire.KeepAlive}).DialContext(ctx, network, address)
}

// Serve runs the sessions that come in at ln, which it closes, until ctx is
// done. It then lets clients know, lets relays that are busy go on for at most
// Limits.Drain, and returns nil when the last session has ended.
func (s *Server) Serve(ctx context.Context, ln net.Listener, l *Listener) error {
	defer closeWith(ctx, ln)()
	defer ln.Close()
	if protocols[l.Protocol] == nil {
		return fmt.Errorf("there is no protocol %q", l.Protocol)
	}

	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var sessions sync.WaitGroup
	err := s.accept(ctx, ln, func(c net.Conn) {
		sessions.Go(func() { s.serve(ctx, life, c, l) })
	})
	defer time.AfterFunc(s.Limits.Drain, end).Stop()
	sessions.Wait()
	return err
}

// accept gives the connections that come in at ln to serve, until ctx is done.
// Out of descriptors, or of memory, it waits for better times: the sessions
// that are there go on, and some will end.
func (s *Server) accept(ctx context.Context, ln net.Listener, serve func(net.Conn)) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	wait := shortest
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			wait = shortest
			serve(c)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		default:
			s.Log.Error("cannot accept a connection; trying again", "address", ln.Addr().String(), "why", err.Error(), "in", wait)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait = min(2*wait, longest)
		}
	}
}

// serve runs one session until it ends, or life is done. When stopping is done
// it is to come to an end. All that is logged or counted of it is so here.
func (s *Server) serve(stopping, life context.Context, c net.Conn, l *Listener) {
	defer c.Close()
	defer closeWith(life, c)()

	x := &session{Server: s, l: l, protocol: protocols[l.Protocol], stopping: stopping}
	x.record = s.Metrics.begin(l.Protocol, s.ids.Add(1), c.RemoteAddr())
	x.client = wire.New(c, s.Limits.LogIn)
	x.client.Trace = x.tracer("client")
	x.client.SetEnd(x.record.start.Add(s.Limits.LogIn))
	err := guard(func() error { return x.run(life) })
	s.Metrics.end(x.record, err)
	if r := x.record.result(err); s.Log.Enabled(life, r.level()) {
		s.Log.LogAttrs(life, r.level(), "session", x.record.attrs(err)...)
	}
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
