package proxy

import (
	"context"
	"fmt"
)

// CheckReachable connects to u until the login could begin, and disconnects. The error is
// that of a session.
func (s *Server) CheckReachable(ctx context.Context, protocol string, u *Upstream) error {
	p := protocols[protocol]
	if p == nil {
		return Fail(Misconfigured, fmt.Errorf("there is no protocol %q", protocol))
	}
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	c, err := s.dial(ctx, p, u, "localhost", nil)
	if err != nil {
		return err
	}
	defer c.close()
	defer c.closeAtEnd(ctx)()
	c.Quit()
	return nil
}

// CheckLogin logs in to u as user with an access token or a password, opens the mailbox if
// the protocol has one, and logs out. The error is that of a session.
func (s *Server) CheckLogin(ctx context.Context, protocol string, u *Upstream, user, secret string) error {
	p := protocols[protocol]
	if p == nil {
		return Fail(Misconfigured, fmt.Errorf("there is no protocol %q", protocol))
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	c, err := s.dial(ctx, p, u, "localhost", nil)
	if err != nil {
		return err
	}
	defer c.close()
	u.secrets().Add(secret)
	switch _, err := c.logIn(ctx, user, secret); {
	case err != nil && opensLater(err):
		return nil
	case err != nil:
		return err
	}
	defer c.closeAtEnd(ctx)()
	if err := c.Open(); err != nil && !opensLater(err) {
		return u.AsRefusal(err, true)
	}
	c.Quit()
	return nil
}
