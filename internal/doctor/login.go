package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// login logs in, inspects the mailbox, and logs out. If the mail server refuses the
// token, it tries once more with another one, as a session does.
func (x *examination) login(ctx context.Context, k *link) {
	protocol := strings.ToUpper(k.Protocol)
	name := protocol + " login at " + k.Address()
	const nothing = "there is nothing to log in with"
	switch {
	case k.client == nil:
		x.skip(name, "there is no connection")
		return
	case x.secret == "":
		x.skip(name, nothing)
		return
	}
	defer k.close()
	var s step.Step
	err := proxy.WithToken(x.secret, func(string) (err error) {
		s, err = x.attempt(ctx, name, k)
		return err
	}, func(refused error) (string, error) {
		return x.otherToken(ctx, refused)
	})
	switch {
	case x.secret == "": // a person must authorize the account
		x.done(skipped(name, nothing))
		return
	case isRefusal(err) && x.noOther != nil:
		s.Remedy = x.tokenRemedy(x.noOther)
	}
	if s.Outcome != step.Skipped {
		x.ended(ctx, k.Protocol, err)
	}
	if !x.done(s) {
		return
	}
	x.step(ctx, protocol+" "+k.client.place()+" at "+k.Address(), loginTime, func(ctx context.Context, s *step.Step) error {
		defer wire.CloseWhenDone(ctx, k.conn)()
		command, err := k.client.inspect(s)
		if err == nil {
			return nil
		}
		err = stepError(ctx, command, k.AsRefusal(err, true))
		x.ended(ctx, k.Protocol, err)
		return err
	})
}

// ended reports the end of a login to the account, unless the check was canceled.
func (x *examination) ended(ctx context.Context, protocol string, err error) {
	if x.LoginEnded != nil && !errors.Is(ctx.Err(), context.Canceled) {
		x.LoginEnded(protocol, x.Secrets.Error(err))
	}
}

func isRefusal(err error) bool {
	var e *proxy.Error
	return errors.As(err, &e) && e.Result == proxy.UpstreamRefused
}

// attempt logs in once, on a new connection if the last one is closed. It returns the
// error of the step, too.
func (x *examination) attempt(ctx context.Context, name string, k *link) (s step.Step, err error) {
	s = x.take(ctx, name, loginTime, func(ctx context.Context, s *step.Step) error {
		if k.client == nil {
			if err = k.open(ctx, x.dialer(k.Upstream), &step.Step{}); err != nil {
				return err
			}
		}
		stop := wire.CloseWhenDone(ctx, k.conn)
		if err = k.logIn(ctx, s, x.secret); err != nil {
			k.close()
			return err
		}
		if !stop() { // the connection is closed
			err = k.AsUnavailable(context.Cause(ctx))
		}
		return err
	})
	return s, err
}

func (k *link) logIn(ctx context.Context, s *step.Step, secret string) error {
	l, err := k.mechanism(ctx, secret)
	if err != nil {
		return err
	}
	s.AddFact("mechanism", l.mechanism)
	s.AddFact("user", l.user)
	if err := k.client.authenticate(l); err != nil {
		challenge := l.Challenge()
		err = stepError(ctx, l.mechanism, k.AsRefusal(err, challenge != ""))
		if challenge != "" {
			err = fmt.Errorf("%w (%s)", err, challenge)
		}
		return err
	}
	s.Detail = l.mechanism + " as " + l.user
	return nil
}

// A login is a mechanism with its credentials.
type login struct {
	sasl.Client
	mechanism, user, secret string
}

// mechanism chooses the mechanism as a session does.
func (k *link) mechanism(ctx context.Context, secret string) (login, error) {
	offered, err := k.client.mechanisms()
	if err != nil {
		return login{}, stepError(ctx, "capabilities", k.AsUnavailable(err))
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
