package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/xoauthd/xoauthd/proxy/limit"
	"github.com/xoauthd/xoauthd/proxy/peercred"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// logIn checks the credentials of the client, and logs in to the upstream with a token or
// password of the account. The caller must call release at the end of the session.
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
	k, welcome, free, err := s.enter(ctx, []limit.Limit{
		{Of: account, Max: s.Limits.PerAccount, Key: "limits.sessions_per_account"},
		{Of: "login " + cmp.Or(login.Label, "(no label)") + " of " + account, Max: s.Limits.PerLogin, Key: "limits.sessions_per_login"},
		s.upstreamLimit(account, upstream),
		s.addressLimit(),
	}, func() (*link, []string, error) { return s.asKnown(ctx, login, upstream) })
	return k, welcome, func() { free(); leave() }, err
}

// recordLogin counts a login attempt, and logs a successful one. A failure is logged when
// the session ends.
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

// asKnown logs in to the upstream. During that, and after a success, the session is not a
// pre-auth session. While it waits for a slot, and after a failure, it is one: anybody with
// one password could otherwise have any number of them.
func (s *session) asKnown(ctx context.Context, login Login, upstream *Upstream) (*link, []string, error) {
	if !s.conns.SetAuthenticated(&s.counted) {
		return nil, nil, s.tooMany()
	}
	k, welcome, err := s.logInUpstream(ctx, login, upstream)
	if err != nil {
		s.conns.SetUnauthenticated(&s.counted)
	}
	return k, welcome, err
}

// passOn logs in to the upstream with an access token of the client. The session remains a
// pre-auth session until the upstream has accepted the token. Its user name is not limited:
// before that anybody can claim it, and afterwards the upstream limits it.
func (s *session) passOn(ctx context.Context, c sasl.Credentials) (k *link, welcome []string, release func(), err error) {
	upstream := s.l.Upstreams[0]
	s.record.ownToken = true
	s.record.upstream = upstream.Address()
	if _, err := sasl.NewClient(sasl.XOAUTH2, c.User, c.Token, upstream.Host, upstream.Port); err != nil {
		return nil, nil, nil, Fail(BadCredentials, err)
	}
	return s.enter(ctx, []limit.Limit{s.addressLimit()}, func() (*link, []string, error) {
		k, welcome, err := s.tryToken(ctx, upstream, c)
		if err == nil && !s.conns.SetAuthenticated(&s.counted) {
			k.close()
			return nil, nil, s.tooMany()
		}
		return k, welcome, err
	})
}

// The maximum of tokens of one address or local user that are tried at a time, and how long
// a failed one keeps its slot. For the mail server, each is a failed login from our address,
// which it may block.
const (
	tokensAtOnce = 10
	tokenPause   = 10 * time.Second
)

// tryToken logs in with a token of the client. After any failure the slot stays taken for
// the pause: a client could otherwise avoid it by leaving early.
func (s *session) tryToken(ctx context.Context, upstream *Upstream, c sasl.Credentials) (k *link, welcome []string, err error) {
	t := s.semaphore.Acquire(limit.Limit{Of: "tokens of " + s.origin().String() + " that are tried, or failed lately", Max: tokensAtOnce, Key: "client_tokens"})
	if err := s.wait(ctx, t); err != nil {
		t.Release()
		return nil, nil, err
	}
	defer func() {
		if k == nil {
			time.AfterFunc(tokenPause, t.Release)
		} else {
			t.Release()
		}
	}()
	ctx, cancel := s.within(ctx, answerTime)
	defer cancel()
	k, welcome, err = s.connect(ctx, upstream, c.User, c.Token)
	if err == nil {
		// Not before: anybody can send a token that consists of words of the log.
		upstream.secrets().Add(c.Token)
	}
	return k, welcome, err
}

func (s *session) upstreamLimit(who string, u *Upstream) limit.Limit {
	return limit.Limit{
		Of:  who + " at " + u.Address(),
		Max: u.Sessions,
		Key: "provider." + u.Provider + "." + s.l.Protocol + ".sessions",
	}
}

// addressLimit returns the limit of the address. Programs of this machine, which all have
// one address, have none.
func (s *session) addressLimit() limit.Limit {
	most := s.Limits.PerAddress
	if s.isHere() {
		most = 0
	}
	return limit.Limit{Of: s.host(), Max: most, Key: "limits.sessions_per_address"}
}

// host describes the address of the client. This machine is one host.
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

// enter runs logIn when the session has a slot of each limit. release frees the slots.
// enter waits for at most Limits.Queue. Meanwhile it holds nothing that others need: no
// turn for a password hash, and no connection to an upstream.
func (s *session) enter(ctx context.Context, limits []limit.Limit, logIn func() (*link, []string, error)) (k *link, welcome []string, release func(), err error) {
	t := s.semaphore.Acquire(limits...)
	defer func() {
		if k == nil {
			t.Release() // also when something panics
		}
	}()
	err = s.wait(ctx, t)
	if err == nil {
		k, welcome, err = logIn()
	}
	if err != nil && s.stopping.Err() != nil {
		err = s.interrupted(err)
	}
	return k, welcome, t.Release, err
}

// wait waits until t has its slots. The error names the limit that is reached. wait ends
// when the client half-closes: it may be gone. If it is not, it receives a reply.
func (s *session) wait(ctx context.Context, t *limit.Waiter) error {
	select {
	case <-t.Acquired():
		return nil
	default:
	}
	s.dropEarly()
	defer s.Metrics.queue(s.l.Protocol)()
	defer func(began time.Time) { s.record.queued += time.Since(began) }(time.Now())
	ctx, stop := s.attend(ctx, s.Limits.Queue, true)
	defer stop()
	select {
	case <-t.Acquired():
	case <-ctx.Done():
		if s.gone.Load() {
			return errGone
		}
		if full := t.Full(); full != nil {
			return Fail(TooManySessions, full)
		}
	}
	return nil
}

// password checks the password, which computes a slow hash and may have to wait for it. If
// the client resets the connection meanwhile, the error is errGone. A client that
// half-closes still receives a reply: scripts send a whole dialogue at once.
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

// logInUpstream obtains a token, logs in with it, and reports the result to the account.
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

// logInWith logs in with a token. The upstream may refuse a token that was revoked early,
// so logInWith tries another one, once, on a new connection, before the client sees
// anything.
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
	case failure(err).Result == UpstreamRefused: // refused says more
		return nil, nil, refused
	case failure(err).Result == NeedsAuthorization:
		return nil, nil, err
	}
	return nil, nil, NoOther(refused, err)
}

// NoOther returns the error of a login whose token the upstream has refused, while the
// provider issues no other because of err: that is the cause to fix.
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
