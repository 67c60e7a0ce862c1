package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/text"
	"github.com/xoauthd/xoauthd/proxy"
)

// token obtains the access token or the app password, if the account is authorized.
func (x *examination) token(ctx context.Context, authorized bool) {
	switch {
	case x.usesPassword():
		x.password(ctx)
		return
	case authorized:
		x.step(ctx, "access token", tokenTime, func(ctx context.Context, s *step.Step) error {
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
	x.step(ctx, "app password", tokenTime, func(ctx context.Context, s *step.Step) error {
		password, err := x.Token(ctx, "")
		if err != nil {
			return err
		}
		x.setSecret(password)
		s.Detail = "configured"
		return nil
	})
}

// otherToken obtains another token after a refusal, as a session does: the token may have
// been revoked early. It does so once for all mail servers. If a person must authorize the
// account, there is no token any more.
func (x *examination) otherToken(ctx context.Context, refused error) (string, error) {
	switch {
	case x.noOther != nil:
		return "", x.noOther
	case x.usesPassword() || x.replaced:
		return "", refused
	}
	x.replaced = true
	stale := x.secret
	var missing error
	x.step(ctx, "access token, after it was refused", tokenTime, func(ctx context.Context, s *step.Step) error {
		s.Detail = refused.Error()
		missing = x.ask(ctx, s, stale)
		switch {
		case errors.Is(missing, oauth.ErrNeedsAuthorization):
			x.secret = ""
			s.Remedy = x.tokenRemedy(missing)
			return missing
		case missing != nil:
			s.AddFinding(step.Warning, "there is no other: "+missing.Error(), x.hint(missing))
		}
		return nil
	})
	switch {
	case errors.Is(missing, oauth.ErrNeedsAuthorization):
		return "", proxy.Fail(proxy.NeedsAuthorization, missing)
	case errors.Is(missing, oauth.ErrRefused):
		return "", refused
	case missing != nil:
		x.noOther = missing
	}
	return x.secret, missing
}

// ask obtains a token other than stale.
func (x *examination) ask(ctx context.Context, s *step.Step, stale string) error {
	before := x.Status()
	token, err := x.Token(ctx, stale)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	x.setSecret(token)
	x.describeToken(s, before)
	return nil
}

// setSecret sets the access token or app password.
func (x *examination) setSecret(secret string) {
	x.Secrets.Add(secret)
	x.secret = secret
}

// describeToken adds source and remaining life of the token to the step.
func (x *examination) describeToken(s *step.Step, before auth.Status) {
	after := x.Status()
	source := "from memory"
	switch {
	case before.Expiry.IsZero():
		source = "new"
	case !after.Expiry.Equal(before.Expiry), !after.Refreshed.Equal(before.Refreshed):
		source = "refreshed"
	}
	s.AddFact("source", source)
	s.Detail = step.Join(s.Detail, "; ", source)
	if !after.Expiry.IsZero() {
		life := time.Until(after.Expiry.Round(0))
		s.AddFact("expiry", after.Expiry)
		s.AddFact("life_seconds", int64(life/time.Second))
		s.Detail += ", " + text.Span(life) + " left"
	}
}

// tokenRemedy returns the remedy if there is no token because of err.
func (x *examination) tokenRemedy(err error) string {
	var e *oauth.Error
	hint := x.hint(err)
	switch {
	case errors.Is(err, oauth.ErrNeedsAuthorization):
		return step.Join(hint, " ", x.Remedy)
	case !errors.As(err, &e):
		return hint
	case e.Code == "invalid_client" && (hint == "" || hint == (&oauth.Error{Code: e.Code}).Hint()): // which mentions secrets only
		return x.Provider.clientRemedy()
	case hint != "":
		return hint
	case x.Flow == flow.Command:
		return "Run the command by hand, as the user that the daemon runs as, until it prints a token."
	case e.Kind == oauth.Misconfigured && e.Code == "":
		return "" // an error of this machine, which contains its remedy
	case e.Kind == oauth.Misconfigured:
		return "Check client_id and the scopes in the section of provider " + x.Provider.Name + "."
	}
	return "The daemon tries again by itself. If the failure stays, see the step of the token endpoint."
}

// clientRemedy returns the remedy if the token endpoint does not accept the client.
func (p *Provider) clientRemedy() string {
	at := " in the section of provider " + p.Name
	switch p.Proof {
	case "":
		return "Check client_id" + at + ", and whether this client needs a client_secret."
	case "client_secret":
		return "Check client_id, client_secret and auth_style" + at + "."
	}
	return "Check client_id and " + p.Proof + at + ", and its registration at the provider."
}
