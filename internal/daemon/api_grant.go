package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// Authorize implements api.Backend.
func (b *backend) Authorize(ctx context.Context, account string, s *api.Stream) error {
	m, err := b.interactive(account)
	if err != nil {
		return err
	}
	a := m.authorizable()
	if a.Flow == flow.DeviceCode {
		return b.authorizeDevice(ctx, a, s)
	}
	reg := a.Registration
	if reg.RedirectURL == "" {
		return &api.Error{Status: http.StatusConflict, What: fmt.Sprintf("provider %s has no redirect_url", m.account.config.Provider), Hint: fmt.Sprintf("Set one, for example http://localhost, and register it at %s.", a.Provider)}
	}
	attempt := authorize.NewCodeFlow(a)
	consent := api.Consent{Provider: a.Provider, URL: attempt.URL(), Redirect: reg.RedirectURL, URI: reg.RedirectURI, Note: reg.RedirectNote}
	for {
		answer, err := s.Ask(ctx, api.Event{Consent: &consent})
		if err != nil {
			return err
		}
		result, err := attempt.Finish(ctx, answer.Address)
		if err == nil {
			return b.finish(ctx, s, result)
		}
		consent.Rejected = err.Error()
	}
}

// authorizeDevice waits for a person at another device until the code expires.
func (b *backend) authorizeDevice(ctx context.Context, a *authorize.Account, s *api.Stream) error {
	device, err := a.Client.DeviceAuth(ctx)
	if err != nil {
		return &api.Error{Status: http.StatusBadGateway, What: a.Provider + " issued no device code", Why: err.Error()}
	}
	code := api.DeviceCode{Provider: a.Provider, URL: device.URI, Complete: device.Complete, Code: device.UserCode, Expiry: device.Expiry}
	if err := s.Send(api.Event{Device: &code}); err != nil {
		return err
	}
	return b.finish(ctx, s, authorize.AwaitDevice(ctx, a, device))
}

// finish logs and sends a result, after a person has confirmed it if that is necessary.
func (b *backend) finish(ctx context.Context, s *api.Stream, r authorize.Result) error {
	r, err := b.confirm(ctx, s, r)
	if err != nil {
		return err
	}
	b.logResult(ctx, r)
	return s.Send(api.Event{Result: &r})
}

func (b *backend) logResult(ctx context.Context, r authorize.Result) {
	r.Log(ctx, b.daemon.log, slog.String("client", "the command line"))
}

// confirm asks whether a grant with less access replaces the present one, if r is about
// that. It returns the final result.
func (b *backend) confirm(ctx context.Context, s *api.Stream, r authorize.Result) (authorize.Result, error) {
	if r.Candidate == nil {
		return r, nil
	}
	b.logResult(ctx, r)
	answer, err := s.Ask(ctx, api.Event{Confirm: &r})
	if err == nil && answer.Replace {
		return r.Candidate.Confirm(), nil
	}
	rejected := r.Candidate.Reject()
	if err != nil {
		b.logResult(ctx, rejected)
	}
	return rejected, err
}

const nothingDone = "Nothing was done with the refresh token, and nothing was changed."

// Import implements api.Backend.
func (b *backend) Import(ctx context.Context, account, refreshToken string, s *api.Stream) error {
	m, err := b.interactive(account)
	if err != nil {
		return err
	}
	if err := m.reach(ctx); err != nil {
		return err
	}
	finishing, cancel := b.shutdown.Finish(ctx)
	defer cancel()
	g, err := m.account.provider.client.Refresh(finishing, oauth.Consent{}, oauth.Grant{RefreshToken: refreshToken})
	if err != nil {
		return notTaken(m.account.provider, err)
	}
	result, err := b.confirm(ctx, s, authorize.Adopt(ctx, m.authorizable(), g))
	if err != nil {
		return err
	}
	if !result.OK && g.RefreshToken != refreshToken {
		result.Lead += " " + rotated(m.account.provider)
	}
	return b.finish(ctx, s, result)
}

// reach returns an error if no mail server of the account can be reached. A refresh that
// finds this out could cost the grant, if the provider rotates refresh tokens.
func (m *manager) reach(ctx context.Context) error {
	ctx, cancel := m.shutdown.UntilDeadline(ctx)
	defer cancel()
	protocols := m.protocols()
	if len(protocols) == 0 {
		return &api.Error{Status: http.StatusConflict, What: m.noListener().Error(), Hint: nothingDone}
	}
	faults := make([]error, len(protocols))
	var all sync.WaitGroup
	for i, protocol := range protocols {
		all.Go(func() { faults[i] = m.daemon.proxy.CheckReachable(ctx, protocol, m.account.Upstream(protocol)) })
	}
	all.Wait()
	if slices.Contains(faults, nil) {
		return nil
	}
	var why, hints []string
	for i, err := range faults {
		why = append(why, fmt.Sprintf("%s at %s: %v", strings.ToUpper(protocols[i]), m.account.Upstream(protocols[i]).Address(), err))
		if h := proxy.Hint(err); h != "" && !slices.Contains(hints, h) {
			hints = append(hints, h)
		}
	}
	return &api.Error{
		Status: http.StatusBadGateway,
		What:   "no mail server of " + m.account.Name() + " can be reached",
		Why:    strings.Join(why, "; "),
		Hint:   strings.Join(append(hints, nothingDone), "\n"),
	}
}

// rotated says what may be lost with a grant that was not kept.
func rotated(p *provider) string {
	return "But " + p.title + " issued another refresh token in place of the imported one, and xoauthd has dropped that, too. If the provider has ended the old one, neither works any more: authorize the account, or import a new one."
}

// notTaken returns the error for a refresh token for which the provider issued no access
// token.
func notTaken(p *provider, err error) error {
	out := &api.Error{Status: http.StatusBadGateway, What: p.title + " issued no access token for this refresh token", Why: err.Error(), Hint: "Nothing was changed."}
	var e *oauth.Error
	if !errors.As(err, &e) {
		return out
	}
	switch h := e.Hint(); {
	case e.Code == "invalid_grant", e.Code == "unauthorized_client", e.Code == "invalid_client":
		out.Hint = fmt.Sprintf("Only the client that the token was issued to can use it, and provider %s has client_id %q. Is that the client_id of the program that the token comes from? "+
			"If so, the token has expired or was revoked. Nothing was changed.", p.config.Name, p.config.ClientID)
	case e.Kind == oauth.Temporary:
		out.Hint = "Try again later. Nothing was changed."
	case h != "":
		out.Hint = h + "\nNothing was changed."
	}
	return out
}

// Revoke implements api.Backend. It also ends the account's sessions.
func (b *backend) Revoke(ctx context.Context, account string, by api.User, local bool) (api.Revocation, error) {
	m, err := b.manager(account)
	if err != nil {
		return api.Revocation{}, err
	}
	a, p := m.account, m.account.provider
	finishing, cancel := b.shutdown.Finish(ctx)
	defer cancel()
	had, told := a.grants.Granted(), false
	if local {
		err = a.grants.Forget(userName(by))
	} else {
		told, err = a.grants.Revoke(finishing, userName(by))
	}
	ended := 0
	if err == nil || local || told || errors.Is(err, auth.ErrNotRemoved) {
		ended = b.daemon.proxy.EndSessions(finishing, a.Name())
	}
	switch {
	case err == nil:
		return api.Revocation{
			Provider:    p.title,
			Flow:        p.config.Flow,
			Interactive: p.config.Flow.NeedsConsent(),
			Deleted:     had,
			Revoked:     told,
			Revocable:   p.client.RevocationURL != "",
			Sessions:    ended,
		}, nil
	case told:
		err = fmt.Errorf("%s has revoked the grant, but: %w", p.title, err)
	case !local && !errors.Is(err, auth.ErrNotRemoved):
		err = &api.Error{Status: http.StatusBadGateway, What: fmt.Sprintf("the grant of %s was not revoked, and is kept", a.Name()), Why: err.Error(), Hint: "To delete it without the provider: xoauthd revoke --local " + a.Name()}
	}
	return api.Revocation{}, err
}

// userName returns the name and the number of a user of this machine.
func userName(u api.User) string {
	name, id := peercred.UserName(uint32(u)), strconv.Itoa(int(u))
	if name == id {
		return "uid " + id
	}
	return name + " (uid " + id + ")"
}
