package proxy

import (
	"context"
	"time"

	"github.com/xoauthd/xoauthd/proxy/limit"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// The maximum of tokens of one address or local user that are tried at a time, and how long
// a failed one keeps its slot. For the mail server, each is a failed login from our address,
// which it may block.
const (
	tokensAtOnce = 10
	tokenPause   = 10 * time.Second
)

// logInWithOwnToken logs in to the upstream with an access token of the client, on a
// listener with client_tokens. These listeners are for programs that have OAuth of their own
// and use xoauthd only to reach the mail server. The session remains a pre-auth session
// until the upstream has accepted the token. Its user name is not limited: before that any
// client can claim it, and afterwards the upstream limits it.
func (s *session) logInWithOwnToken(ctx context.Context, c sasl.Credentials) (*upstreamSession, error) {
	upstream := s.listener.Upstreams[0]
	s.record.ownToken = true
	s.record.upstream = upstream.Address()
	if _, err := sasl.NewClient(sasl.XOAUTH2, c.User, c.Token, upstream.Host, upstream.Port); err != nil {
		return nil, Fail(BadCredentials, err)
	}
	return s.withSlots(ctx, []limit.Limit{s.addressLimit()}, func() (*upstreamSession, error) {
		u, err := s.tryToken(ctx, upstream, c)
		if err == nil && !s.server.conns.SetAuthenticated(&s.counted) {
			u.close()
			return nil, s.tooMany()
		}
		return u, err
	})
}

// tryToken logs in with a token of the client. After any failure the slot stays taken for
// the pause: a client could otherwise avoid it by leaving early.
func (s *session) tryToken(ctx context.Context, upstream *Upstream, c sasl.Credentials) (u *upstreamSession, err error) {
	slot := s.server.semaphore.Acquire(limit.Limit{
		Of:  "tokens of " + s.loginSource().String() + " that are tried, or failed lately",
		Max: tokensAtOnce,
		Key: "client_tokens",
	})
	if err := s.wait(ctx, slot); err != nil {
		slot.Release()
		return nil, err
	}
	defer func() {
		if u == nil {
			time.AfterFunc(tokenPause, slot.Release)
		} else {
			slot.Release()
		}
	}()
	ctx, cancel := s.withTimeout(ctx, answerTime)
	defer cancel()
	u, err = s.connect(ctx, upstream, c.User, c.Token)
	if err == nil {
		// Not before: anybody can send a token that consists of words of the log.
		upstream.secrets().Add(c.Token)
	}
	return u, err
}
