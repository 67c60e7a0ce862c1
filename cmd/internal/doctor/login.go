package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// login logs in with secret, looks around and logs out.
func (x *examination) login(ctx context.Context, k *link, secret string) {
	name := strings.ToUpper(k.Protocol) + " login at " + k.Address()
	switch {
	case k.client == nil:
		x.skip(name, "there is no connection")
		return
	case secret == "":
		x.skip(name, "there is nothing to log in with")
		return
	}
	x.step(ctx, name, loginTime, func(ctx context.Context, s *Step) error {
		defer k.close()
		defer closeWith(ctx, k.conn)()
		if err := k.logIn(ctx, s, secret); err != nil {
			return err
		}
		if command, err := k.client.look(s); err != nil {
			return told(ctx, command, k.Refused(err, true))
		}
		return nil
	})
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
