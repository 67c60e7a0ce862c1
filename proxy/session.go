package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/xoauthd/xoauthd/internal/text"
	"github.com/xoauthd/xoauthd/proxy/limit"
	"github.com/xoauthd/xoauthd/proxy/peercred"
	"github.com/xoauthd/xoauthd/proxy/relay"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// maxAttempts is the maximum of failed login attempts on one connection.
const maxAttempts = 3

// A session is one connection of a client, from its beginning to its end.
type session struct {
	*Server
	l        *Listener
	protocol *protocol
	conn     net.Conn   // below client
	from     netip.Addr // address of the client; invalid for a unix socket
	client   *wire.Conn
	stopping context.Context // done when the session must drain
	stop     context.CancelCauseFunc
	record   *record

	greeted bool
	hello   string     // name of the client in EHLO; empty without one
	early   *earlyConn // nil if there is none
	dialled bool       // xoauthd has tried to open an early connection
	secure  bool       // the client was inside TLS at its last EHLO

	source     peercred.Source    // of the client
	userSource peercred.Source    // user of this machine that tried to log in; zero if not known
	counted    limit.Conn         // in Server.conns
	end        context.CancelFunc // cancels everything that runs for the client
	gone       atomic.Bool        // the client has reset the connection while it waited
}

// errGone is the error of a session whose client has left.
var errGone = Fail(NoLogin, errors.New("client left while it waited"))

// run runs the session. The error is an *Error; nil if the client logged in.
func (s *session) run(ctx context.Context, admitted bool) error {
	// Before its login, a client is told that the session ends.
	defer context.AfterFunc(s.stopping, s.client.Interrupt)()

	if !admitted {
		return s.bye(s.front(ctx), s.tooMany())
	}
	if err := s.meet(); err != nil {
		return s.left(s.front(ctx), err, nil)
	}
	defer s.dropEarly()

	front := s.front(ctx)
	front.Greet()
	s.greeted = true
	var refused error // error of the last attempt
	for range maxAttempts {
		credentials, err := front.ReadLogin()
		if err != nil {
			return s.left(front, err, refused)
		}
		began := time.Now()
		k, welcome, release, err := s.logIn(ctx, credentials)
		s.recordLogin(began, err)
		if err == nil {
			defer release()
			defer k.close()
			front.Accept(welcome)
			return s.relay(ctx, front, k)
		}
		if err != errGone {
			refused = err
			s.record.refused++
		}
		if s.counted.Evicted() || s.gone.Load() { // an early answer would reveal whether the password is right
			return s.left(front, errGone, refused)
		}
		e := failure(err)
		front.Refuse(s.protocol.status(answers[e.Result]), e.text())
	}
	if !s.protocol.farewell {
		s.client.Linger()
		return refused
	}
	return s.part(front, refused)
}

// relay copies bytes between the client and the upstream until one side closes.
func (s *session) relay(ctx context.Context, front server, k *link) error {
	client, err := s.client.Stream()
	if err != nil {
		return Fail(NoLogin, fmt.Errorf("sending the result of the login: %w", err))
	}
	upstream, err := k.conn.Stream()
	if err != nil {
		return k.upstream.Down(err)
	}
	r := relay.Relay{
		Client:      client,
		Upstream:    upstream,
		Tracker:     s.protocol.tracker(),
		IdleTimeout: s.Limits.Idle,
		Stopping:    s.stopping,
		Sent:        s.record.sent,
		Received:    s.record.received,
	}
	if s.protocol.farewell {
		e := failure(Fail(Revoked, relay.ErrRevoked))
		r.Farewell = func() { front.Bye(s.protocol.status(answers[e.Result]), e.text()) }
	}
	s.record.ended, err = r.Run(ctx)
	return err
}

// front starts the dialogue with the client.
func (s *session) front(ctx context.Context) server {
	return s.protocol.server(s.client, s.l.mechanisms(), func(hello string, wanted bool) []string {
		return s.extensions(ctx, hello, wanted)
	})
}

// left ends a session without a login, and returns its error. The error of an earlier
// attempt takes precedence: it says more than how the connection ended.
func (s *session) left(front server, err, refused error) error {
	e := failure(err)
	switch {
	case s.counted.Evicted(): // does not wait for the client
		return s.bye(front, s.tooMany())
	case e.Result == Stopping:
		return s.part(front, s.interrupted(err))
	case e.Result == TimedOut:
		err = s.part(front, Fail(TimedOut, fmt.Errorf("no login within %v", s.Limits.LogIn)))
	case e.Result != NoLogin:
		err = s.part(front, err)
	case errors.Is(err, io.EOF) && front.Malformed() != "":
		err = Fail(IncompleteLogin, errors.New("the last attempt was refused: "+front.Malformed()))
	case errors.Is(err, io.EOF):
		err = Fail(NoLogin, errors.New("client left"))
	default:
		err = e
	}
	if refused != nil {
		return refused
	}
	return err
}

func (s *session) tooMany() error {
	return Fail(TooManySessions, fmt.Errorf("session limit reached: %d (limits.sessions)", s.Limits.Sessions))
}

// bye tells the client why the session ends, if it can receive a reply.
func (s *session) bye(front server, err error) error {
	e := failure(err)
	if s.hears(e) {
		front.Bye(s.protocol.status(answers[e.Result]), e.text())
	}
	return e
}

// part is bye for a client that may still be sending.
func (s *session) part(front server, err error) error {
	if s.hears(failure(err)) {
		defer s.client.Linger()
	}
	return s.bye(front, err)
}

// hears reports whether the client can receive a reply: not while it may expect a TLS
// handshake, nor after a failed one.
func (s *session) hears(e *Error) bool {
	return (s.greeted || s.l.Begin == StartTLS) && e.Result != TLSFailed
}

// within returns ctx with the timeout d. It is also done when the session must drain.
func (s *session) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}

// attend is within. The context is also done when the client resets the connection or, if
// open is true, half-closes it.
func (s *session) attend(ctx context.Context, d time.Duration, open bool) (_ context.Context, stop func()) {
	ctx, cancel := s.within(ctx, d)
	closed := func() {}
	if open {
		closed = cancel
	}
	unwatch := s.client.WatchDisconnect(func() { s.gone.Store(true); cancel() }, closed)
	return ctx, func() { unwatch(); cancel() }
}

// finish counts and logs the session, after its connections are closed.
func (s *session) finish(err error) {
	s.record.tls = s.client.TLS()
	s.Metrics.end(s.record, err)
	s.log(err)
}

// log logs the end of the session, unless there are many of its kind.
func (s *session) log(err error) {
	result := s.record.result(err)
	if !s.Log.Enabled(context.Background(), result.level()) {
		return
	}
	if err != nil && result.level() > slog.LevelDebug && !s.repeats.admit(s.failureKind(result), err, s.Log) {
		return
	}
	s.Log.LogAttrs(context.Background(), result.level(), "session ended", s.record.attrs(err)...)
}

func (s *session) failureKind(result Result) failureKind {
	k := failureKind{protocol: s.l.Protocol, result: result, user: s.record.userText()}
	if k.account = s.record.authenticated; k.account {
		k.user, k.login = s.record.account, s.record.login
	} else {
		k.client = s.host()
		if s.userSource != (peercred.Source{}) { // another user must not use up the lines of this one
			k.client = s.userSource.String()
		}
	}
	return k
}

// tracer returns the trace function of the dialogue with peer, or nil if the log level is
// not debug.
func (s *session) tracer(peer string) func(sent bool, line string) {
	if !s.Log.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	log := s.Log.With("id", s.record.id, "peer", peer)
	return func(sent bool, line string) {
		what := "received"
		if sent {
			what = "sent"
		}
		log.Debug(what, "line", text.Cut(line, maxReason))
	}
}
