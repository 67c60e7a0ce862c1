package doctor

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/step"
)

// sendTime limits the delivery of the test message.
const sendTime = 45 * time.Second

// sendAPI checks that the API for sending can be reached, and what its token permits. It
// sends nothing.
func (x *examination) sendAPI(ctx context.Context, authorized bool) {
	api := x.API
	if api == nil {
		return
	}
	x.step(ctx, "connection to "+api.Title, connectTime, func(ctx context.Context, s *step.Step) error {
		s.Remedy = "Check smtp_api_url, and whether a firewall or a proxy is in the way."
		endpoint, err := url.Parse(api.URL)
		if err != nil {
			return err
		}
		_, through, err := x.through(api.URL)
		if err == nil {
			err = x.head(ctx, endpoint, through, s)
		}
		var name *net.DNSError
		switch {
		case err == nil:
			s.Remedy = ""
		case errors.As(err, &name):
			s.Remedy = remedyName
		}
		return err
	})
	name := "permission to send by " + api.Title
	if !authorized {
		x.skip(name, "the account is not authorized")
		return
	}
	x.step(ctx, name, tokenTime, func(ctx context.Context, s *step.Step) error {
		token, err := api.Token(ctx)
		if err != nil {
			s.Remedy = x.tokenRemedy(err)
			return err
		}
		x.Secrets.Add(token)
		x.checkSendPermission(s, token)
		if x.SendTo == "" {
			s.Detail = step.Join(s.Detail, "; ", "nothing was sent (--send-to ADDRESS sends a test message)")
		}
		return nil
	})
}

// checkSendPermission checks the scopes and roles of a token that can be read.
func (x *examination) checkSendPermission(s *step.Step, token string) {
	var c claims
	parsed, err := jwt.ParseSigned(token, oauth.SignatureAlgorithms())
	if err != nil || parsed.UnsafeClaimsWithoutVerification(&c) != nil || !c.ofEntra() || x.API.Permission == "" {
		s.Detail = "not verified: only the provider can read the token"
		return
	}
	granted := append(strings.Fields(c.Scopes), c.Roles...)
	s.AddFact("permissions", granted)
	if slices.ContainsFunc(granted, func(g string) bool { return strings.EqualFold(g, x.API.Permission) }) {
		s.Detail = "granted: " + x.API.Permission
		return
	}
	s.AddFinding(step.Failed, "the token has no "+x.API.Permission,
		"Add the permission "+x.API.Permission+" of Microsoft Graph to the application, and authorize again; an application permission needs the consent of an administrator.")
}

// send sends the test message.
func (x *examination) send(ctx context.Context) {
	if x.SendTo == "" {
		return
	}
	name := "test message to " + x.SendTo
	switch {
	case x.Send == nil:
		x.skip(name, "the provider has no SMTP server")
		return
	case !x.passed:
		x.skip(name, "an earlier step has failed")
		return
	}
	x.step(ctx, name, sendTime, func(ctx context.Context, s *step.Step) error {
		reply, err := x.Send(ctx, x.SendTo)
		s.Detail = reply
		return err
	})
}
