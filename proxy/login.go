package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/xoauthd/xoauthd/proxy/peercred"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// logIn logs the client in upstream. The password opens the account, and the
// account's token, or its own password there, the mailbox. The caller must
// release what counts the session.
func (s *session) logIn(ctx context.Context, c sasl.Credentials) (k *link, welcome []string, release func(), err error) {
	s.record.lastAttempt = lastAttempt{user: c.User}
	if c.Token != "" {
		return s.passOn(ctx, c)
	}
	login, err := s.password(ctx, c)
	if login.Account != nil {
		s.record.account, s.record.login = login.Account.Name(), login.Label
	}
	if err != nil {
		return nil, nil, nil, err
	}
	s.record.authenticated = true
	name := login.Account.Name()
	upstream := login.Account.Upstream(s.l.Protocol)
	if upstream == nil {
		return nil, nil, nil, Fail(Misconfigured, fmt.Errorf("its provider has no %s server", s.l.Protocol))
	}
	s.record.upstream = upstream.Address()
	if login.User != name {
		s.record.upstreamUser = login.User
	}
	account := "account " + name
	leave := s.accountSessions.join(name, s)
	defer func() {
		if k == nil {
			leave()
		}
	}()
	k, welcome, free, err := s.enter(ctx, []bound{
		{account, s.Limits.PerAccount, "limits.sessions_per_account"},
		{"login " + cmp.Or(login.Label, "(no label)") + " of " + account, s.Limits.PerLogin, "limits.sessions_per_login"},
		s.upstreamBound(account, upstream),
		s.addressBound(),
	}, func() (*link, []string, error) { return s.asKnown(ctx, login, upstream) })
	return k, welcome, func() { free(); leave() }, err
}

// recordLogin logs and counts an attempt to log in that began at a time and
// failed with err, or succeeded. A failure is logged when the session ends.
func (s *session) recordLogin(began time.Time, err error) {
	if err == errGone {
		return
	}
	r := s.record
	r.tls = s.client.TLS()
	if r.account != "" {
		s.Metrics.login(r, err)
	}
	if err == nil {
		attrs := append(r.clientAttrs(), r.loginAttrs()...)
		s.Log.LogAttrs(context.Background(), slog.LevelInfo, "login", append(attrs, slog.Float64("seconds", seconds(time.Since(began))))...)
	}
}

// asKnown logs in upstream as no stranger, which it stays if that succeeds. It is
// one while it waits for its place, and after a failure: of those there may be any
// number with one password.
func (s *session) asKnown(ctx context.Context, login Login, upstream *Upstream) (*link, []string, error) {
	if !s.counts.known(s) {
		return nil, nil, s.tooMany()
	}
	k, welcome, err := s.logInUpstream(ctx, login, upstream)
	if err != nil {
		s.counts.unknown(s)
	}
	return k, welcome, err
}

// passOn logs the client in upstream with an access token of its own. It stays a
// stranger until the upstream has said whose token that is. Its name bounds
// nothing: until then anybody can claim it, and after that the upstream does.
func (s *session) passOn(ctx context.Context, c sasl.Credentials) (k *link, welcome []string, release func(), err error) {
	upstream := s.l.Upstreams[0]
	s.record.ownToken = true
	s.record.upstream = upstream.Address()
	if _, err := sasl.NewClient(sasl.XOAUTH2, c.User, c.Token, upstream.Host, upstream.Port); err != nil {
		return nil, nil, nil, Fail(BadCredentials, err)
	}
	return s.enter(ctx, []bound{s.addressBound()}, func() (*link, []string, error) {
		k, welcome, err := s.tryToken(ctx, upstream, c)
		if err == nil && !s.counts.known(s) {
			k.close()
			return nil, nil, s.tooMany()
		}
		return k, welcome, err
	})
}

// How many tokens of one address, or user of this machine, are tried at a time, and
// how long one that failed keeps its place: to the mail server each is a failed login
// from our address, which it may block.
const (
	tokensAtOnce = 10
	tokenPause   = 10 * time.Second
)

// tryToken logs in with the client's own token. A place is kept for the pause
// whatever went wrong: a client could otherwise avoid it by leaving early.
func (s *session) tryToken(ctx context.Context, upstream *Upstream, c sasl.Credentials) (k *link, welcome []string, err error) {
	t := s.queue.join([]bound{{"tokens of " + s.origin().String() + " that are tried, or failed lately", tokensAtOnce, "client_tokens"}})
	leave := func() { s.queue.leave(t) }
	if err := s.wait(ctx, t); err != nil {
		leave()
		return nil, nil, err
	}
	defer func() {
		if k == nil {
			time.AfterFunc(tokenPause, leave)
		} else {
			leave()
		}
	}()
	ctx, cancel := s.within(ctx, answerTime)
	defer cancel()
	k, welcome, err = s.connect(ctx, upstream, c.User, c.Token)
	if err == nil {
		// Only now: anybody can send a token made of words that the log needs.
		upstream.secrets().Add(c.Token)
	}
	return k, welcome, err
}

func (s *session) upstreamBound(who string, u *Upstream) bound {
	return bound{
		what: who + " at " + u.Address(),
		most: u.Sessions,
		by:   "provider." + u.Provider + "." + s.l.Protocol + ".sessions",
	}
}

// addressBound is none for programs of this machine: they all have one address.
func (s *session) addressBound() bound {
	most := s.Limits.PerAddress
	if s.isHere() {
		most = 0
	}
	return bound{s.host(), most, "limits.sessions_per_address"}
}

// host is where the client is: all of this machine is one host.
func (s *session) host() string {
	if s.isHere() {
		return "this machine"
	}
	return "address " + peercred.SourceOfAddr(s.from).String()
}

// origin returns the source of the client. If only the kernel's tables know the user, it
// reads them, once: that takes too long for every connection, but not for a login.
func (s *session) origin() peercred.Source {
	switch {
	case s.source != (peercred.Source{}) || s.record.via != nil:
		return s.source
	case s.userSource == (peercred.Source{}):
		if uid, err := s.Peers.UID(s.conn); err == nil {
			s.userSource = peercred.SourceOfUser(uid)
		}
	}
	return s.userSource
}

// isHere reports whether the client is a program of this machine.
func (s *session) isHere() bool { return !s.from.IsValid() || s.from.IsLoopback() }

// enter runs logIn when there is a place for the session in each of bounds, which
// release gives back. It waits for one, but no longer than Limits.Queue, and
// holds nothing meanwhile that others might use: neither the turn to have a
// password hashed, nor a connection to an upstream that lets an account have
// three.
func (s *session) enter(ctx context.Context, bounds []bound, logIn func() (*link, []string, error)) (k *link, welcome []string, release func(), err error) {
	t := s.queue.join(bounds)
	release = func() { s.queue.leave(t) }
	defer func() {
		if k == nil {
			release() // also when something panics
		}
	}()
	err = s.wait(ctx, t)
	if err == nil {
		k, welcome, err = logIn()
	}
	if err != nil && s.stopping.Err() != nil {
		err = s.interrupted(err)
	}
	return k, welcome, release, err
}

// wait returns when t is in. Otherwise the error tells which bound is full. A
// client that sends nothing more does not wait: it may be gone, and its place is for
// others. If it is not, it gets an answer.
func (s *session) wait(ctx context.Context, t *ticket) error {
	select {
	case <-t.in:
		return nil
	default:
	}
	s.dropEarly()
	defer s.Metrics.queue(s.l.Protocol)()
	defer func(began time.Time) { s.record.queued += time.Since(began) }(time.Now())
	ctx, stop := s.attend(ctx, s.Limits.Queue, true)
	defer stop()
	select {
	case <-t.in:
	case <-ctx.Done():
		if s.gone.Load() {
			return errGone
		}
		if full := s.queue.full(t); full != nil {
			return Fail(TooManySessions, full)
		}
	}
	return nil
}

// password returns the login that the password opens. To find that out takes a
// slow hash, and there may be a queue for it. Of a client that resets the connection
// before its turn nothing is known. One that sends nothing more still gets an answer:
// scripts send a whole dialogue and half-close the connection.
func (s *session) password(ctx context.Context, c sasl.Credentials) (Login, error) {
	ctx, stop := s.attend(ctx, answerTime, false)
	defer stop()
	uid, hasUID := s.origin().UID()
	login, err := s.Accounts.LogIn(ctx, Attempt{
		Protocol: s.l.Protocol,
		Provider: s.l.Provider,
		User:     c.User,
		Password: c.Password,
		From:     s.from,
		UID:      uid,
		HasUID:   hasUID,
	})
	if err != nil && s.gone.Load() && failure(err).Result != BadCredentials {
		err = errGone
	}
	return login, err
}

// logInUpstream gets a token and logs in with it, and tells the account what came
// of the login.
func (s *session) logInUpstream(ctx context.Context, login Login, upstream *Upstream) (*link, []string, error) {
	ctx, cancel := s.within(ctx, answerTime)
	defer cancel()
	token, err := login.Account.Token(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	if upstream.takesPassword() {
		if err := s.refusals.standing(login.Account.Name(), s.l.Protocol); err != nil {
			return nil, nil, err
		}
	}
	k, welcome, err := s.logInWith(ctx, login, upstream, token)
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) { // by the client or the end of xoauthd
		login.Account.LoginEnded(s.l.Protocol, err)
	}
	return k, welcome, err
}

// logInWith logs in with a token. The upstream may refuse one that was revoked
// before its time, so logInWith tries another one, once, on a new connection,
// before the client sees anything.
func (s *session) logInWith(ctx context.Context, login Login, upstream *Upstream, token string) (*link, []string, error) {
	account := login.Account
	upstream.secrets().Add(token)
	k, welcome, refused := s.connect(ctx, upstream, login.User, token)
	if upstream.takesPassword() {
		s.refusals.note(account.Name(), s.l.Protocol, refused)
	}
	if refused == nil || failure(refused).Result != UpstreamRefused {
		return k, welcome, refused
	}
	token, err := account.Token(ctx, token)
	switch {
	case err == nil:
		upstream.secrets().Add(token)
		return s.connect(ctx, upstream, login.User, token)
	case failure(err).Result == UpstreamRefused: // which tells less of it than refused does
		return nil, nil, refused
	case failure(err).Result == NeedsAuthorization:
		return nil, nil, err
	}
	return nil, nil, NoOther(refused, err)
}

// NoOther is the failure of a login whose token the upstream has refused where err
// is why the provider gives no other: that is what has to be mended.
func NoOther(refused, err error) error {
	e := &Error{
		Result: UpstreamRefused,
		Err:    fmt.Errorf("the mail server refuses the access token (%s), and the provider gives no other: %w", Words(refused), err),
	}
	if why := (*Error)(nil); errors.As(err, &why) {
		e.Result, e.Detail = why.Result, why.Detail
	}
	return e
}
