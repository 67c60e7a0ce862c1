package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

// token gets what the account logs in with, if it is authorized.
func (x *examination) token(ctx context.Context, authorized bool) {
	switch {
	case x.Password:
		x.password(ctx)
		return
	case authorized:
		x.step(ctx, "access token", tokenTime, func(ctx context.Context, s *Step) error {
			err := x.ask(ctx, s, "")
			if err != nil {
				s.Remedy = x.tokenRemedy(err)
			}
			return err
		})
	default:
		x.skip("access token", "the account is not authorized")
	}
	if x.secret == "" {
		x.skip("claims of the token", "there is no token")
		return
	}
	x.claims(ctx, x.secret)
}

func (x *examination) password(ctx context.Context) {
	x.step(ctx, "app password", tokenTime, func(ctx context.Context, s *Step) error {
		password, err := x.Token(ctx, "")
		if err != nil {
			return err
		}
		x.keep(password)
		s.Detail = "there is one"
		return nil
	})
}

// replace gets another token for the one that was refused, once: it may have
// been revoked before its time. It reports whether there is another. There is
// none at all any more if a person must authorize the account.
func (x *examination) replace(ctx context.Context, refused error) bool {
	if x.Password || x.replaced {
		return false
	}
	x.replaced = true
	stale := x.secret
	x.step(ctx, "access token, after it was refused", tokenTime, func(ctx context.Context, s *Step) error {
		s.Detail = refused.Error()
		err := x.ask(ctx, s, stale)
		switch {
		case errors.Is(err, auth.ErrNeedsAuthorization):
			x.secret = ""
			s.Remedy = x.tokenRemedy(err)
			return err
		case err != nil:
			if !errors.Is(err, auth.ErrRefused) {
				x.noOther = err
			}
			s.find(Warning, "there is no other: "+err.Error(), x.hint(err))
		}
		return nil
	})
	return x.secret != stale && x.secret != ""
}

// ask gets a token other than stale.
func (x *examination) ask(ctx context.Context, s *Step, stale string) error {
	before := x.Status()
	token, err := x.Token(ctx, stale)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	x.keep(token)
	x.describeToken(s, before)
	return nil
}

// keep makes secret what the account logs in with.
func (x *examination) keep(secret string) {
	x.Secrets.Add(secret)
	x.secret = secret
}

// describeToken says where the token came from, and how long it will do.
func (x *examination) describeToken(s *Step, before auth.Status) {
	after := x.Status()
	source := "from memory"
	switch {
	case before.Expiry.IsZero():
		source = "new"
	case !after.Expiry.Equal(before.Expiry), !after.Refreshed.Equal(before.Refreshed):
		source = "refreshed"
	}
	s.fact("source", source)
	s.Detail = join(s.Detail, "; ", source)
	if !after.Expiry.IsZero() {
		life := time.Until(after.Expiry.Round(0))
		s.fact("expiry", after.Expiry)
		s.fact("life_seconds", int64(life/time.Second))
		s.Detail += ", " + span(life) + " left"
	}
}

// tokenRemedy is what to do about err, of a token that cannot be had.
func (x *examination) tokenRemedy(err error) string {
	var e *auth.Error
	hint := x.hint(err)
	switch {
	case errors.Is(err, auth.ErrNeedsAuthorization):
		return join(hint, " ", x.Remedy)
	case !errors.As(err, &e):
		return hint
	case e.Code == "invalid_client" && (hint == "" || hint == (&auth.Error{Code: e.Code}).Hint()): // which knows of secrets only
		return x.Provider.clientRemedy()
	case hint != "":
		return hint
	case x.Flow == "command":
		return "Run the command by hand, as the user that the daemon runs as, until it prints a token."
	case e.Kind == auth.Misconfigured && e.Code == "":
		return "" // it came about here, and says what to do
	case e.Kind == auth.Misconfigured:
		return "Check client_id and the scopes in the section of provider " + x.Provider.Name + "."
	}
	return "The daemon tries again by itself; if it stays, look at the step of the token endpoint."
}

// clientRemedy is what to do where the token endpoint does not take the client
// for the one of its client_id.
func (p *Provider) clientRemedy() string {
	at := " in the section of provider " + p.Name
	switch p.Proof {
	case "":
		return "Check client_id" + at + ", and whether this client needs a client_secret."
	case "client_secret":
		return "Check client_id, client_secret and auth_style" + at + "."
	}
	return "Check client_id and " + p.Proof + at + ", and that the provider was told whom to take for this client."
}
