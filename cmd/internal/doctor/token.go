package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

// token returns what the account logs in with, or nothing if it cannot be had.
func (x *examination) token(ctx context.Context) string {
	if x.Password {
		return x.password(ctx)
	}
	var token string
	x.step(ctx, "access token", tokenTime, func(ctx context.Context, s *Step) (err error) {
		before := x.Status()
		if token, err = x.Token(ctx); err != nil {
			token = ""
			s.Remedy = x.tokenRemedy(err)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		x.veil.hide(token)
		x.describeToken(s, before)
		return nil
	})
	if token == "" {
		x.skip("claims of the token", "there is no token")
		return ""
	}
	x.claims(ctx, token)
	return token
}

func (x *examination) password(ctx context.Context) string {
	var password string
	x.step(ctx, "app password", tokenTime, func(ctx context.Context, s *Step) (err error) {
		if password, err = x.Token(ctx); err != nil {
			password = ""
			return err
		}
		x.veil.hide(password)
		s.Detail = "there is one"
		return nil
	})
	return password
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
	s.Detail = source
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
	case hint != "" || !errors.As(err, &e):
		return hint
	case e.Kind == auth.Misconfigured:
		return "Check client_id, its secret and the scopes in the section of provider " + x.Provider.Name + "."
	}
	return "The daemon tries again by itself; if it stays, look at the step of the token endpoint."
}
