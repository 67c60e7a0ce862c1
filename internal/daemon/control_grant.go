package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/control"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// consentTime is how long a person may take at the provider.
const consentTime = 10 * time.Minute

// errNobodyCame is of a person who took longer.
var errNobodyCame = fmt.Errorf("nobody came back from the provider within %d minutes; nothing was changed", int(consentTime.Minutes()))

// A Consent is what a person has to do in a browser.
type Consent struct {
	Provider string `json:"provider"`        // as people call it
	URL      string `json:"url"`             // to be opened
	Redirect string `json:"redirect"`        // how the address begins at which the browser ends
	URI      string `json:"uri"`             // the redirect URI to register at the provider
	Note     string `json:"note,omitempty"`  // why it is not Redirect
	Again    string `json:"again,omitempty"` // what is wrong with the answer before
}

// A DeviceCode is what a person has to enter in a browser on any device.
type DeviceCode struct {
	Provider string    `json:"provider"`
	URL      string    `json:"url"`
	Complete string    `json:"complete,omitempty"` // the same, with the code in it
	Code     string    `json:"code"`
	Expiry   time.Time `json:"expiry"` // of the code
}

// authorize has a person authorize an account without pages of ours.
func (k *controller) authorize(ctx context.Context, r control.Request, c *control.Conversation) error {
	p, err := k.attended(r.Account)
	if err != nil {
		return err
	}
	if p.Flow() == "device_code" {
		return k.authorizeDevice(ctx, p, c)
	}
	reg := p.Registration()
	if reg.RedirectURL == "" {
		return fmt.Errorf("provider %s has no redirect_url: set one, for example http://localhost, and register it at %s", p.provider.Name, p.Provider())
	}
	attempt := authorize.NewCodeFlow(p)
	awaited, cancel := context.WithTimeoutCause(ctx, consentTime, errNobodyCame)
	defer cancel()
	consent := Consent{Provider: p.Provider(), URL: attempt.URL(), Redirect: reg.RedirectURL, URI: reg.RedirectURI, Note: reg.RedirectNote}
	for {
		pasted, err := c.Ask(awaited, EventConsent, consent)
		if err != nil {
			return err
		}
		outcome, err := attempt.Finish(ctx, pasted)
		if err == nil {
			return k.ended(ctx, c, outcome)
		}
		consent.Again = err.Error()
	}
}

// authorizeDevice waits for a person at another device, for as long as the
// command does.
func (k *controller) authorizeDevice(ctx context.Context, p *page, c *control.Conversation) error {
	device, err := p.DeviceAuth(ctx)
	if err != nil {
		return fmt.Errorf("%s gives no code: %w", p.Provider(), err)
	}
	if err := c.Tell(EventDevice, DeviceCode{p.Provider(), device.URI, device.Complete, device.UserCode, device.Expiry}); err != nil {
		return err
	}
	return k.ended(ctx, c, authorize.AwaitDevice(ctx, p, device))
}

// ended tells what came of an authorization, to the log and the command, once a
// person has decided what there may be to decide.
func (k *controller) ended(ctx context.Context, c *control.Conversation, o authorize.Result) error {
	o, err := k.decided(ctx, c, o)
	if err != nil {
		return err
	}
	k.logOutcome(ctx, o)
	return c.Tell(EventOutcome, o)
}

func (k *controller) logOutcome(ctx context.Context, o authorize.Result) {
	o.Log(ctx, k.daemon.log, slog.String("client", "the command line"))
}

// decided asks whether a grant that opens less shall replace the present one, if
// that is what o is about, and returns what came of it.
func (k *controller) decided(ctx context.Context, c *control.Conversation, o authorize.Result) (authorize.Result, error) {
	if o.Candidate == nil {
		return o, nil
	}
	k.logOutcome(ctx, o)
	answer, err := c.Ask(ctx, EventConfirm, o)
	if err == nil && answer == AnswerReplace {
		return o.Candidate.Confirm(), nil
	}
	rejected := o.Candidate.Reject()
	if err != nil {
		k.logOutcome(ctx, rejected)
	}
	return rejected, err
}

// adopt takes in a refresh token that another program got.
func (k *controller) adopt(ctx context.Context, r control.Request, c *control.Conversation) error {
	p, err := k.attended(r.Account)
	if err != nil {
		return err
	}
	token, err := c.Ask(ctx, EventToken, nil)
	if err != nil {
		return err
	}
	if err := p.reach(ctx); err != nil {
		return fmt.Errorf("%w\nNothing was done with the refresh token, and nothing was changed", err)
	}
	finishing, cancel := p.finishing(ctx)
	defer cancel()
	g, err := p.provider.Refresh(finishing, oauth.Grant{RefreshToken: token})
	if err != nil {
		return notTaken(p, err)
	}
	p.importing = true
	outcome, err := k.decided(ctx, c, authorize.Adopt(ctx, p, g))
	if err != nil {
		return err
	}
	if !outcome.OK && g.RefreshToken != token {
		outcome.Lead += " " + rotated(p)
	}
	return k.ended(ctx, c, outcome)
}

// reach reports an error if no mail server of the account can be reached: to find
// that out with a grant could cost it, where the provider gives another each time.
func (p *page) reach(ctx context.Context) error {
	ctx, cancel := p.hurried(ctx)
	defer cancel()
	protocols := p.protocols()
	if len(protocols) == 0 {
		return p.noListener()
	}
	faults := make([]error, len(protocols))
	var all sync.WaitGroup
	for i, protocol := range protocols {
		all.Go(func() { faults[i] = p.daemon.proxy.Reach(ctx, protocol, p.Upstream(protocol)) })
	}
	all.Wait()
	if slices.Contains(faults, nil) {
		return nil
	}
	for i, err := range faults {
		faults[i] = fmt.Errorf("%s at %s: %w", strings.ToUpper(protocols[i]), p.Upstream(protocols[i]).Address(), err)
		if h := proxy.Hint(err); h != "" {
			faults[i] = fmt.Errorf("%w\n%s", faults[i], h)
		}
	}
	return errors.Join(faults...)
}

// rotated says what may be lost with a grant that was not kept.
func rotated(p *page) string {
	return "But " + p.Provider() + " gave another refresh token in the place of the one that was brought in, and that is dropped, too. Where a provider takes the old one out of use then, neither is good any more: authorize the account, or get a new one where it came from."
}

// notTaken says what it means that the provider gave nothing for a refresh token.
func notTaken(p *page, err error) error {
	err = fmt.Errorf("%s gives no access token for this refresh token: %w", p.Provider(), err)
	var e *oauth.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Code == "invalid_grant", e.Code == "unauthorized_client", e.Code == "invalid_client":
		return fmt.Errorf("%w\nOnly the client that it was given to can use it, and provider %s has client_id %q: is that the program's that it came from? "+
			"If so, it has expired or was revoked. Nothing was changed", err, p.provider.Name, p.provider.OAuth.ClientID)
	case e.Kind == oauth.Passing:
		return fmt.Errorf("%w\nNothing was changed: try again later", err)
	}
	if h := e.Hint(); h != "" {
		err = fmt.Errorf("%w\n%s", err, h)
	}
	return fmt.Errorf("%w\nNothing was changed", err)
}

// Forgotten tells what came of taking back a grant.
type Forgotten struct {
	Provider string `json:"provider"` // as people call it
	Flow     string `json:"flow"`
	Attended bool   `json:"attended"` // a person has to authorize the account before it is used again
	Had      bool   `json:"had"`      // there was a grant or, without a person, an access token
	Told     bool   `json:"told"`     // the provider was, and has taken the grant back
	Endpoint bool   `json:"endpoint"` // the provider has one for that
	Sessions int    `json:"sessions"` // of the account that have ended because of it
}

// revoke has the provider take a grant back, forgets it, and ends the account's
// sessions.
func (k *controller) revoke(ctx context.Context, r control.Request, c *control.Conversation) error {
	p, err := k.page(r.Account)
	if err != nil {
		return err
	}
	finishing, cancel := p.finishing(ctx)
	defer cancel()
	had := p.Granted()
	told, err := p.Revoke(finishing, commandOf(c))
	ended := 0
	if err == nil || told || errors.Is(err, auth.ErrNotRemoved) {
		ended = k.daemon.proxy.EndSessions(finishing, p.Name())
	}
	switch {
	case err == nil:
		return p.forgotten(c, had, told, ended)
	case !errors.Is(err, auth.ErrNotRemoved):
		return fmt.Errorf("the grant was not taken back, and is kept: %w\nTo forget it all the same: xoauthd revoke --local %s", err, p.Name())
	case told:
		return fmt.Errorf("%s has taken the grant back, but: %w", p.Provider(), err)
	}
	return err
}

// commandOf is the user who gave a command, in words.
func commandOf(c *control.Conversation) string {
	name, id := peercred.UserName(uint32(c.User())), strconv.Itoa(c.User())
	if name == id {
		return "uid " + id
	}
	return name + " (uid " + id + ")"
}

// forget forgets a grant, of which the provider is not told, and ends the account's
// sessions.
func (k *controller) forget(ctx context.Context, r control.Request, c *control.Conversation) error {
	p, err := k.page(r.Account)
	if err != nil {
		return err
	}
	had := p.Granted()
	err = p.Forget(commandOf(c))
	finishing, cancel := p.finishing(ctx)
	defer cancel()
	ended := k.daemon.proxy.EndSessions(finishing, p.Name())
	if err != nil {
		return err
	}
	return p.forgotten(c, had, false, ended)
}

func (p *page) forgotten(c *control.Conversation, had, told bool, ended int) error {
	return c.Tell(EventForgotten, Forgotten{
		Provider: p.Provider(),
		Flow:     p.Flow(),
		Attended: p.Attended(),
		Had:      had,
		Told:     told,
		Endpoint: p.provider.RevocationURL != "",
		Sessions: ended,
	})
}
