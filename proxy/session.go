package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// maxAttempts is how often a client may fail to log in on one connection. It is
// enough for a person at a prompt, and a guesser has to connect again.
const maxAttempts = 3

// A session is what happens on one connection of a client.
type session struct {
	*Server
	l        *Listener
	protocol *protocol
	client   *wire.Conn
	stopping context.Context // when done, the session is to come to an end
	record   *record

	hello   string // what the client called itself, where it did
	early   *link  // dialled before the client logged in, if any
	dialled bool   // so it was, or could not be

	displaced atomic.Bool // it had to go for another: see counts.admit
}

// run is the session, straight down. Its error is an *Error, or nil if a client
// was logged in and then relayed.
func (s *session) run(ctx context.Context) error {
	// When xoauthd stops, a client that has not logged in is told so.
	defer context.AfterFunc(s.stopping, s.client.Interrupt)()

	front := s.protocol.server(s.client, s.l.mechanisms(), func(hello string) []string { return s.extensions(ctx, hello) })
	leave, ok := s.counts.admit(s, s.Limits.Sessions)
	if !ok {
		return s.bye(front, s.tooMany())
	}
	defer leave()
	defer s.dropEarly()

	front.Greet()
	var refused error // why the client's last attempt failed
	for range maxAttempts {
		credentials, err := front.ReadLogin()
		if err != nil {
			return s.left(front, err, refused)
		}
		k, welcome, release, err := s.logIn(ctx, credentials)
		if err == nil {
			defer release()
			defer k.close()
			front.Accept(welcome)
			return s.relay(ctx, k)
		}
		refused = err
		s.record.refused++
		e := failure(err)
		front.Refuse(s.protocol.status(answers[e.Result]), e.text())
	}
	if !s.protocol.farewell {
		s.client.Linger()
		return refused
	}
	return s.part(front, refused)
}

// left is how a session ends whose client is not logged in. What that was
// refused before says more of it than how it went on from there.
func (s *session) left(front server, err, refused error) error {
	e := failure(err)
	switch {
	case s.displaced.Load():
		return s.part(front, s.tooMany())
	case e.Result == Stopping:
		return s.part(front, err)
	case e.Result == TimedOut:
		err = s.part(front, Fail(TimedOut, fmt.Errorf("no login within %v", s.Limits.LogIn)))
	case e.Result != NoLogin:
		err = s.part(front, err)
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
	return Fail(TooManySessions, fmt.Errorf("%d sessions are the most (limits.sessions)", s.Limits.Sessions))
}

// bye tells the client why its session ends.
func (s *session) bye(front server, err error) error {
	e := failure(err)
	front.Bye(s.protocol.status(answers[e.Result]), e.text())
	return e
}

// part is bye to a client that may still be sending.
func (s *session) part(front server, err error) error {
	defer s.client.Linger()
	return s.bye(front, err)
}

// logIn logs the client in upstream. The password opens the account, and the
// account's token, or its own password there, the mailbox. A token that is
// refused may have been revoked before its time; so another one is tried, once,
// on a new connection, before the client sees anything. The caller must release what counts the session.
func (s *session) logIn(ctx context.Context, c sasl.Credentials) (k *link, welcome []string, release func(), err error) {
	s.record.user = c.User
	login, err := s.password(ctx, c)
	if err != nil {
		return nil, nil, nil, err
	}
	account := login.Account
	s.record.account = account.Name()
	if !s.counts.known(s) {
		return nil, nil, nil, s.tooMany()
	}
	upstream := account.Upstream(s.l.Protocol)
	if upstream == nil {
		return nil, nil, nil, Fail(Misconfigured, fmt.Errorf("its provider has no %s server", s.l.Protocol))
	}
	s.record.upstream = upstream.Address()
	if login.User != account.Name() {
		s.record.upstreamUser = login.User
	}
	release, ok := s.counts.enter(account.Name(), s.Limits.PerAccount)
	if !ok {
		return nil, nil, nil, Fail(TooManySessions, fmt.Errorf("%d sessions are the most for an account (limits.sessions_per_account)", s.Limits.PerAccount))
	}
	defer func() {
		if k == nil {
			release() // also when something panics
		}
	}()
	k, welcome, err = s.logInUpstream(ctx, login, upstream)
	if err != nil && s.stopping.Err() != nil {
		err = Fail(Stopping, err)
	}
	return k, welcome, release, err
}

// password returns the login that the password opens. To find that out takes a
// slow hash, and there may be a queue for it.
func (s *session) password(ctx context.Context, c sasl.Credentials) (Login, error) {
	ctx, cancel := s.within(ctx, answerTime)
	defer cancel()
	return s.Accounts.LogIn(ctx, Attempt{
		Protocol: s.l.Protocol,
		Provider: s.l.Provider,
		User:     c.User,
		Password: c.Password,
	})
}

func (s *session) logInUpstream(ctx context.Context, login Login, upstream *Upstream) (*link, []string, error) {
	account := login.Account
	ctx, cancel := s.within(ctx, answerTime)
	defer cancel()
	token, err := account.Token(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	if upstream.takesPassword() {
		if err := s.refusals.standing(account.Name(), s.l.Protocol); err != nil {
			return nil, nil, err
		}
	}
	k, welcome, refused := s.connect(ctx, upstream, login.User, token)
	if upstream.takesPassword() {
		s.refusals.note(account.Name(), s.l.Protocol, refused)
	}
	if refused == nil || failure(refused).Result != UpstreamRefused {
		return k, welcome, refused
	}
	token, err = account.Token(ctx, token)
	switch {
	case err == nil:
		return s.connect(ctx, upstream, login.User, token)
	case failure(err).Result == NeedsAuthorization:
		return nil, nil, err
	}
	return nil, nil, refused // which says more than that there is no other token now
}

// extensions returns what the client is told before it logs in: those of the
// upstream where it is known which one that will be, and otherwise what all that
// it may be have in common.
func (s *session) extensions(ctx context.Context, hello string) []string {
	s.hello = hello
	if s.protocol.early && len(s.l.Upstreams) == 1 && !s.dialled {
		s.dialled = true
		ctx, cancel := s.within(ctx, loginTime)
		defer cancel()
		k, err := s.dial(ctx, s.protocol, s.l.Upstreams[0], hello, s.tracer("upstream"))
		if err == nil {
			s.memory.keep(k.upstream, k.Extensions())
			s.early = k
		}
		// Otherwise the client will hear of it when it logs in.
	}
	if s.early != nil {
		return s.early.Extensions()
	}
	return s.memory.common(s.l.Upstreams, s.protocol.unseen)
}

// dropEarly takes leave of an upstream that was dialled for nothing.
func (s *session) dropEarly() {
	if s.early != nil {
		s.early.Quit()
		s.early.close()
	}
}

// within returns ctx with d for what a client waits for. It is done as well when
// xoauthd stops.
func (s *session) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}

// tracer returns what traces the dialogue with peer, or nil if nobody wants it.
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
		log.Debug(what, "line", truncate(line, 1000))
	}
}
