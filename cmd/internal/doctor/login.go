package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// login logs in, looks around and logs out. If the token is refused, that is
// done with another, as in a session, and what comes of that counts.
func (x *examination) login(ctx context.Context, k *link) {
	name := strings.ToUpper(k.Protocol) + " login at " + k.Address()
	const nothing = "there is nothing to log in with"
	switch {
	case k.client == nil:
		x.skip(name, "there is no connection")
		return
	case x.secret == "":
		x.skip(name, nothing)
		return
	}
	s, refused := x.attempt(ctx, name, k)
	switch {
	case refused == nil:
	case x.replace(ctx, refused):
		s, _ = x.attempt(ctx, name, k)
	case x.secret == "": // and that is the cause
		s = skipped(name, nothing)
	}
	x.done(s)
}

// attempt is one login, on a new connection if another was before it. The error
// is set if it was refused.
func (x *examination) attempt(ctx context.Context, name string, k *link) (s Step, refused error) {
	s = x.take(ctx, name, loginTime, func(ctx context.Context, s *Step) error {
		defer k.close()
		if k.client == nil {
			if err := k.open(ctx, x.dial, &Step{}); err != nil {
				return err
			}
		}
		defer closeWith(ctx, k.conn)()
		if err := k.logIn(ctx, s, x.secret); err != nil {
			var e *proxy.Error
			if errors.As(err, &e) && e.Result == proxy.UpstreamRefused {
				refused = err
			}
			return err
		}
		if command, err := k.client.look(s); err != nil {
			return told(ctx, command, k.Refused(err, true))
		}
		return nil
	})
	return s, refused
}

func (k *link) logIn(ctx context.Context, s *Step, secret string) error {
	l, err := k.mechanism(ctx, secret)
	if err != nil {
		return err
	}
	s.fact("mechanism", l.mechanism)
	s.fact("user", l.user)
	if err := k.client.authenticate(l); err != nil {
		challenge := l.Challenge()
		err = told(ctx, l.mechanism, k.Refused(err, challenge != ""))
		if challenge != "" {
			err = fmt.Errorf("%w (%s)", err, challenge)
		}
		return err
	}
	s.Detail = l.mechanism + " as " + l.user
	return nil
}

// A login is a mechanism, and what it logs in with.
type login struct {
	sasl.Client
	mechanism, user, secret string
}

// mechanism returns the one to log in by, as a session chooses it.
func (k *link) mechanism(ctx context.Context, secret string) (login, error) {
	offered, err := k.client.mechanisms()
	if err != nil {
		return login{}, told(ctx, "capabilities", k.Down(err))
	}
	name, err := sasl.Choose(k.Mechanism, offered)
	if err != nil {
		return login{}, proxy.Fail(proxy.Misconfigured, fmt.Errorf("mechanism: %w", err))
	}
	m, err := sasl.NewClient(name, k.User, secret, k.Host, k.Port)
	if err != nil {
		return login{}, proxy.Fail(proxy.Misconfigured, fmt.Errorf("%s: %w", name, err))
	}
	return login{m, name, k.User, secret}, nil
}
