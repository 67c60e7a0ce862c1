package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/xoauthd/xoauthd/proxy/limit"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// logIn checks the credentials of the client, and logs in to the upstream with a token or
// password of the account.
func (s *session) logIn(ctx context.Context, c sasl.Credentials) (u *upstreamSession, err error) {
	if s.listener.servesDevices() {
		return s.connectDevice(ctx)
	}
	s.record.lastAttempt = lastAttempt{user: c.User}
	if c.Token != "" {
		return s.logInWithOwnToken(ctx, c)
	}
	login, err := s.checkPassword(ctx, c)
	if login.Account != nil {
		s.record.account, s.record.login = login.Account.Name(), login.Label
	}
	if err != nil {
		return nil, err
	}
	s.record.authenticated = true
	name := login.Account.Name()
	upstream := login.Account.Upstream(s.listener.Protocol)
	if upstream == nil {
		return nil, Fail(Misconfigured, fmt.Errorf("account %q: provider %q has no %s server; set provider.%[2]s.%[3]s", name, login.Provider, s.listener.Protocol))
	}
	s.record.upstream = upstream.Address()
	if login.User != name && !upstream.InProcess {
		s.record.upstreamUser = login.User
	}
	leave := s.server.accountSessions.join(name, s)
	defer func() {
		if u == nil {
			leave() // also after a panic
		} else {
			u.onEnd(leave)
		}
	}()
	return s.withSlots(ctx, s.limits(login, upstream), func() (*upstreamSession, error) {
		return s.logInAuthenticated(ctx, login, upstream)
	})
}

// recordLogin counts a login attempt, and logs a successful one. A failure is logged when
// the session ends.
func (s *session) recordLogin(start time.Time, err error) {
	if err == errGone || s.listener.servesDevices() { // devices do not log in
		return
	}
	r := s.record
	r.tls = s.client.TLS()
	if r.account != "" {
		s.server.Metrics.login(r, err)
	}
	if err == nil {
		s.server.accountFailures.succeeded(r, s.server.Log)
		attrs := append(r.clientAttrs(), r.loginAttrs()...)
		s.server.Log.LogAttrs(context.Background(), slog.LevelInfo, "login", append(attrs, slog.Float64("seconds", seconds(time.Since(start))))...)
	}
}

// checkPassword computes a slow hash, and may have to wait for that. If the client resets
// the connection meanwhile, the error is errGone. A client that half-closes still receives a
// reply: scripts send a whole dialogue at once.
func (s *session) checkPassword(ctx context.Context, c sasl.Credentials) (Login, error) {
	ctx, stop := s.watchClient(ctx, answerTime, false)
	defer stop()
	uid, hasUID := s.loginSource().UID()
	login, err := s.server.Accounts.LogIn(ctx, Attempt{
		Protocol: s.listener.Protocol,
		Provider: s.listener.Provider,
		User:     c.User,
		Password: c.Password,
		From:     s.from,
		UID:      uid,
		HasUID:   hasUID,
	})
	if err != nil && s.gone.Load() && asError(err).Result != BadCredentials {
		err = errGone
	}
	return login, err
}

// limits returns the limits of a session with login.
func (s *session) limits(login Login, u *Upstream) []limit.Limit {
	account := "account " + login.Account.Name()
	return []limit.Limit{
		{Of: account, Max: s.server.Limits.PerAccount, Key: "limits.sessions_per_account"},
		{Of: "login " + cmp.Or(login.Label, "(no label)") + " of " + account, Max: s.server.Limits.PerLogin, Key: "limits.sessions_per_login"},
		{Of: account + " at " + u.Address(), Max: u.Sessions, Key: "provider." + u.Provider + "." + s.listener.Protocol + ".sessions"},
		s.addressLimit(),
	}
}

// logInAuthenticated logs in to the upstream. During that, and after a success, the session
// is not a pre-auth session. While it waits for a slot, and after a failure, it is one: a
// client with one password could otherwise have any number of them.
func (s *session) logInAuthenticated(ctx context.Context, login Login, upstream *Upstream) (*upstreamSession, error) {
	if !s.server.conns.SetAuthenticated(&s.counted) {
		return nil, s.tooMany()
	}
	u, err := s.logInUpstream(ctx, login, upstream)
	if err != nil {
		s.server.conns.SetUnauthenticated(&s.counted)
	}
	return u, err
}

// logInUpstream obtains a token, logs in with it, and reports the result to the account.
func (s *session) logInUpstream(ctx context.Context, login Login, upstream *Upstream) (*upstreamSession, error) {
	ctx, cancel := s.withTimeout(ctx, answerTime)
	defer cancel()
	account := login.Account
	token, err := account.Token(ctx, "")
	if err != nil {
		return nil, err
	}
	if upstream.takesPassword() {
		if err := s.server.passwordBackoff.check(account.Name(), s.listener.Protocol); err != nil {
			return nil, err
		}
	}
	var u *upstreamSession
	err = WithToken(token, func(token string) (err error) {
		upstream.secrets().Add(token)
		u, err = s.connect(ctx, upstream, login.User, token)
		if upstream.takesPassword() {
			s.server.passwordBackoff.record(account.Name(), s.listener.Protocol, err)
		}
		return err
	}, func(error) (string, error) {
		return account.Token(ctx, token)
	})
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) { // by the client or the end of xoauthd
		account.LoginEnded(s.listener.Protocol, err)
	}
	return u, err
}

// WithToken calls logIn with a token. If the upstream refuses the token, which may have been
// revoked early, WithToken obtains another one from other, and calls logIn once more. other
// receives the error of the first attempt. The error of WithToken is the cause to fix: that
// of the last attempt, or why there is no other token.
func WithToken(token string, logIn func(token string) error, other func(refused error) (string, error)) error {
	refused := logIn(token)
	if refused == nil || asError(refused).Result != UpstreamRefused {
		return refused
	}
	token, err := other(refused)
	if err == nil {
		return logIn(token)
	}
	var cause *Error
	if !errors.As(err, &cause) {
		cause = &Error{Result: UpstreamRefused}
	} else if cause.Result == UpstreamRefused { // refused says more
		return refused
	} else if cause.Result == NeedsAuthorization {
		return err
	}
	return &Error{
		Result: cause.Result,
		Detail: cause.Detail,
		Err:    fmt.Errorf("the mail server refuses the access token (%s), and the provider gives no other: %w", Reply(refused), err),
	}
}
