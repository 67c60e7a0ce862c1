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
	server   *Server
	listener *Listener
	protocol *protocol
	conn     net.Conn   // below client
	from     netip.Addr // address of the client; invalid for a unix socket
	client   *wire.Conn
	dialogue serverDialogue // with the client, over the connection client
	record   *sessionRecord

	stopping context.Context         // done when the session must drain
	stop     context.CancelCauseFunc // cancels stopping
	cancel   context.CancelFunc      // cancels everything that runs for the client
	counted  limit.Conn              // in server.conns
	gone     atomic.Bool             // the client has reset the connection while it waited

	source     peercred.Source // of the client
	userSource peercred.Source // user of this machine that tried to log in; zero if not known

	greeted bool
	hello   string     // name of the client in EHLO; empty without one
	early   *earlyConn // nil if there is none
	dialled bool       // xoauthd has tried to open an early connection
	secure  bool       // the client was inside TLS at its last EHLO
}

// errGone is the error of a session whose client has left.
var errGone = Fail(NoLogin, errors.New("client left while it waited"))

// run runs the session. admitted is false if there are too many sessions. The error is an
// *Error if the session ends before the relay. After it, the error is nil, or a panic of the
// relay.
func (s *session) run(ctx context.Context, admitted bool) error {
	// Before its login, a client is told that the session ends.
	defer context.AfterFunc(s.stopping, s.client.Interrupt)()

	s.dialogue = s.newDialogue(ctx)
	if !admitted {
		return s.sendBye(s.tooMany())
	}
	if err := s.preamble(); err != nil {
		return s.endWithoutLogin(err, nil)
	}
	defer s.dropEarly()

	s.dialogue.Greet()
	s.greeted = true
	var refused error // error of the last attempt
	for range maxAttempts {
		credentials, err := s.dialogue.ReadLogin()
		if err != nil {
			return s.endWithoutLogin(err, refused)
		}
		start := time.Now()
		upstream, err := s.logIn(ctx, credentials)
		s.recordLogin(start, err)
		if err == nil {
			defer upstream.end()
			s.dialogue.Accept(upstream.welcome)
			return s.relay(ctx, upstream)
		}
		if err != errGone {
			refused = err
			s.record.refused++
		}
		if s.counted.Evicted() || s.gone.Load() { // an early answer would reveal whether the password is right
			return s.endWithoutLogin(errGone, refused)
		}
		e := asError(err)
		s.dialogue.Refuse(s.protocol.status(answers[e.Result]), e.text())
	}
	if !s.protocol.farewell {
		s.client.Linger()
		return refused
	}
	return s.sendLastBye(refused)
}

// relay copies bytes between the client and the upstream until one side closes.
func (s *session) relay(ctx context.Context, u *upstreamSession) error {
	client, err := s.client.Stream()
	if err != nil {
		return Fail(NoLogin, fmt.Errorf("sending the result of the login: %w", err))
	}
	upstream, err := u.conn.Stream()
	if err != nil {
		return u.upstream.AsUnavailable(err)
	}
	r := relay.Relay{
		Client:      client,
		Upstream:    upstream,
		Tracker:     s.newTracker(),
		IdleTimeout: s.server.Limits.Idle,
		Stopping:    s.stopping,
		Sent:        s.record.sent,
		Received:    s.record.received,
	}
	if s.protocol.farewell {
		e := asError(Fail(Revoked, relay.ErrRevoked))
		r.Farewell = func() { s.dialogue.Bye(s.protocol.status(answers[e.Result]), e.text()) }
	}
	s.record.ended, err = r.Run(ctx)
	return err
}

// endWithoutLogin ends a session without a login, and returns its error. The error of an
// earlier attempt takes precedence: it says more than how the connection ended.
func (s *session) endWithoutLogin(err, refused error) error {
	e := asError(err)
	switch {
	case s.counted.Evicted(): // does not wait for the client
		return s.sendBye(s.tooMany())
	case e.Result == Stopping:
		return s.sendLastBye(s.stopError(err))
	case e.Result == TimedOut:
		err = s.sendLastBye(Fail(TimedOut, fmt.Errorf("no login within %v", s.server.Limits.LogIn)))
	case e.Result != NoLogin:
		err = s.sendLastBye(err)
	case errors.Is(err, io.EOF) && s.dialogue.Malformed() != "":
		err = Fail(IncompleteLogin, errors.New("the last attempt was refused: "+s.dialogue.Malformed()))
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
	return Fail(TooManySessions, fmt.Errorf("session limit reached: %d (limits.sessions)", s.server.Limits.Sessions))
}

// sendBye tells the client why the session ends, if it can receive a reply.
func (s *session) sendBye(err error) error {
	e := asError(err)
	switch {
	case !s.canReceive(e):
	case e.Result == Forbidden && s.listener.servesDevices():
		s.rejectDevice(e)
	default:
		s.dialogue.Bye(s.protocol.status(answers[e.Result]), e.text())
	}
	return e
}

// sendLastBye is sendBye for a client that may still be sending: it lingers.
func (s *session) sendLastBye(err error) error {
	if s.canReceive(asError(err)) {
		defer s.client.Linger()
	}
	return s.sendBye(err)
}

// canReceive reports whether the client can receive a reply: not while it may expect a TLS
// handshake, nor after a failed one.
func (s *session) canReceive(e *Error) bool {
	return (s.greeted || s.listener.TLSMode == StartTLS) && e.Result != TLSFailed
}

// withTimeout returns ctx with the timeout d. It is also done when the session must drain.
func (s *session) withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}

// watchClient is withTimeout. The context is also done when the client resets the connection
// or, if halfClose is true, half-closes it.
func (s *session) watchClient(ctx context.Context, d time.Duration, halfClose bool) (_ context.Context, stop func()) {
	ctx, cancel := s.withTimeout(ctx, d)
	closed := func() {}
	if halfClose {
		closed = cancel
	}
	unwatch := s.client.WatchDisconnect(func() { s.gone.Store(true); cancel() }, closed)
	return ctx, func() { unwatch(); cancel() }
}

// logEnd counts and logs the session, after its connections are closed. It does not log a
// session of which there are many of the same kind.
func (s *session) logEnd(err error) {
	s.record.tls = s.client.TLS()
	s.server.Metrics.sessionEnded(s.record, err)
	result, log := s.record.result(err), s.server.Log
	if !log.Enabled(context.Background(), result.Level()) {
		return
	}
	if err != nil && result.Level() > slog.LevelDebug && !s.hasOwnLine(result, err) {
		return
	}
	log.LogAttrs(context.Background(), result.Level(), "session ended", s.record.attrs(err)...)
}

// hasOwnLine reports whether a failed session has a log line of its own. Otherwise it is
// summed up with others.
func (s *session) hasOwnLine(result Result, err error) bool {
	if s.record.authenticated {
		return s.server.accountFailures.count(newFailureReason(s.record, err), err, s.server.Log)
	}
	return s.server.repeats.admit(s.failureKind(result), err, s.server.Log)
}

func (s *session) failureKind(result Result) failureKind {
	client := s.host()
	if s.userSource != (peercred.Source{}) { // another user must not use up the lines of this one
		client = s.userSource.String()
	}
	return failureKind{protocol: s.listener.Protocol, result: result, client: client, user: s.record.userText()}
}

// tracer returns the trace function of the dialogue with peer, or nil if the log level is
// not debug.
func (s *session) tracer(peer string) func(sent bool, line string) {
	if !s.server.Log.Enabled(context.Background(), slog.LevelDebug) {
		return nil
	}
	log := s.server.Log.With("id", s.record.id, "peer", peer)
	return func(sent bool, line string) {
		what := "received"
		if sent {
			what = "sent"
		}
		log.Debug(what, "line", text.Cut(line, maxReason))
	}
}
