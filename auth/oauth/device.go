package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// A Device is a pending authorization by a code that a person enters on another device (RFC
// 8628 section 3.2).
type Device struct {
	UserCode string
	URI      string    // page to enter the code at; http or https
	Complete string    // the same with the code in it; empty if the provider has none
	Expiry   time.Time // of the code

	code     string        // device code for AwaitDevice
	interval time.Duration // between two polls
}

const (
	deviceEndpoint = "device authorization endpoint"
	deviceGrant    = "urn:ietf:params:oauth:grant-type:device_code"

	// RFC 8628 section 3.2 requires a lifetime, and has a default for the interval. A long
	// interval would let the person wait after the code was entered.
	defaultCodeLife = 15 * time.Minute
	defaultInterval = 5 * time.Second
	maxInterval     = time.Minute

	slowerBy = 5 * time.Second // RFC 8628 section 3.5

	// maxUserCode is in bytes. Eight characters are usual, as people type it.
	maxUserCode = 64
)

// DeviceAuth requests a code that a person enters on another device. Its errors are of type
// *Error.
func (p *Provider) DeviceAuth(ctx context.Context) (*Device, error) {
	if p.OAuth.Endpoint.DeviceAuthURL == "" {
		return nil, &Error{Kind: Misconfigured, Err: errors.New("the provider has no " + deviceEndpoint)}
	}
	form := url.Values{"client_id": {p.OAuth.ClientID}, "scope": {strings.Join(p.consentScopes(), " ")}}
	a, err := p.request(ctx, endpoint{deviceEndpoint, p.OAuth.Endpoint.DeviceAuthURL}, form)
	if err != nil {
		return nil, err
	}
	d, err := p.parseDevice(a)
	if err != nil {
		return nil, &Error{Kind: Temporary, Err: fmt.Errorf("%s: malformed answer: %w", deviceEndpoint, err)}
	}
	return d, nil
}

// parseDevice parses an answer. The code and the links are shown to a person, so they must
// not contain a secret.
func (p *Provider) parseDevice(a answer) (*Device, error) {
	d := &Device{
		UserCode: a.text("user_code"),
		URI:      webLink(cmp.Or(a.text("verification_uri"), a.text("verification_url"))), // Google spells it so
		Complete: webLink(a.text("verification_uri_complete")),
		Expiry:   a.expiry(time.Now(), defaultCodeLife),
		code:     a.text("device_code"),
		interval: a.interval(),
	}
	p.secrets().Add(d.code)
	unseen := func(r rune) bool { return !unicode.IsGraphic(r) }
	switch {
	case d.code == "":
		return nil, errors.New("no device code")
	case d.UserCode == "" || len(d.UserCode) > maxUserCode || strings.ContainsFunc(d.UserCode, unseen):
		return nil, errors.New("no user code that a person could enter")
	case d.URI == "":
		return nil, errors.New("no http or https link at which to enter the code")
	case !p.secrets().Clean(d.UserCode), !p.secrets().Clean(d.URI):
		return nil, errors.New("the user code or the link repeats a secret")
	case !p.secrets().Clean(d.Complete):
		d.Complete = ""
	}
	return d, nil
}

// webLink returns link if it is an http or https URL, and "" otherwise: a person opens it,
// so it must not run a script or a program.
func webLink(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return u.String() // in ASCII
}

// interval returns the time between two polls.
func (a answer) interval() time.Duration {
	seconds, ok := a.number("interval")
	if !ok || seconds <= 0 {
		return defaultInterval
	}
	return time.Duration(min(max(seconds, 1), maxInterval.Seconds()) * float64(time.Second))
}

// AwaitDevice polls until the person consents or refuses, the code expires, or ctx is done.
// Its errors are of type *Error, or that of ctx. The codes "access_denied" and
// "expired_token" do not concern an existing grant of the account; a new code helps.
func (p *Provider) AwaitDevice(ctx context.Context, d *Device) (Grant, error) {
	interval, wait := d.interval, d.interval
	for {
		select {
		case <-time.After(min(wait, time.Until(d.Expiry))):
		case <-ctx.Done():
			return Grant{}, ctx.Err()
		}
		last := !time.Now().Before(d.Expiry)
		a, err := p.poll(ctx, d)
		switch {
		case err == nil:
			return p.grantOf(a), nil
		case ctx.Err() != nil:
			return Grant{}, ctx.Err()
		}
		var e *Error
		errors.As(err, &e)
		switch {
		case e.Code == "authorization_pending":
			wait = interval
		case e.Code == "slow_down":
			interval += slowerBy
			wait = interval
		case !unsettled(e):
			return Grant{}, unentered(e)
		case last:
			return Grant{}, &Error{Code: "expired_token", Err: fmt.Errorf("the code has expired; whether it was entered could not be asked: %w", e)}
		default:
			wait = max(interval, min(2*wait, maxInterval), min(e.RetryAfter, MaxRetryAfter))
		}
		if last {
			return Grant{}, unentered(&Error{Code: "expired_token"})
		}
	}
}

// poll asks once whether the code was entered (RFC 8628 section 3.4). The loop of x/oauth2
// ends at a network failure. poll waits for a running answer also after the end of ctx: it
// may be the only one with the tokens.
func (p *Provider) poll(ctx context.Context, d *Device) (answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	return p.token(ctx, url.Values{"grant_type": {deviceGrant}, "device_code": {d.code}})
}

// unsettled reports whether a poll failed without an answer, so that it can be repeated.
func unsettled(e *Error) bool {
	if e.Kind == Misconfigured { // such as a failed client assertion
		return false
	}
	switch e.Status {
	case 0, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return e.Status >= 500 || throttled(e.Description)
}

// unentered returns the error of a refused or expired code.
func unentered(e *Error) *Error {
	switch e.Code {
	case "access_denied", "authorization_declined": // the latter is Entra's
		e.Kind = Temporary // no grant has ended
		e.Code, e.Err = "access_denied", errors.New("the person who entered the code did not agree")
	case "expired_token":
		e.Err = errors.New("the code expired before a person entered it and agreed")
	}
	return e
}
