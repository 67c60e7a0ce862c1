package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
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
	form := url.Values{"scope": {strings.Join(p.OAuth.Scopes, " ")}}
	body, err := p.post(ctx, p.OAuth.Endpoint.DeviceAuthURL, form)
	if err != nil {
		e := p.failure(err)
		e.endpoint = deviceEndpoint
		return nil, e
	}
	d, err := p.parseDevice(body)
	if err != nil {
		return nil, &Error{Kind: Passing, Err: fmt.Errorf("%s: malformed answer: %w", deviceEndpoint, err)}
	}
	return d, nil
}

// parseDevice parses an answer. The code and the links are shown to a person, so they must
// not contain a secret.
func (p *Provider) parseDevice(body []byte) (*Device, error) {
	var answer struct {
		DeviceCode string      `json:"device_code"`
		UserCode   string      `json:"user_code"`
		URI        string      `json:"verification_uri"`
		URL        string      `json:"verification_url"` // as Google spells it
		Complete   string      `json:"verification_uri_complete"`
		ExpiresIn  json.Number `json:"expires_in"`
		Interval   json.Number `json:"interval"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, errors.New("not that of RFC 8628 section 3.2")
	}
	p.secrets().Add(answer.DeviceCode)
	d := &Device{
		UserCode: answer.UserCode,
		URI:      webLink(answer.URI),
		Complete: webLink(answer.Complete),
		Expiry:   time.Now().Add(within(answer.ExpiresIn, defaultCodeLife, maxLife)),
		code:     answer.DeviceCode,
		interval: within(answer.Interval, defaultInterval, maxInterval),
	}
	if answer.URI == "" {
		d.URI = webLink(answer.URL)
	}
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

// within parses a number of seconds: at least one, and the default for an invalid number.
func within(n json.Number, otherwise, most time.Duration) time.Duration {
	f, err := n.Float64()
	if err != nil || f <= 0 {
		return otherwise
	}
	return time.Duration(min(max(f, 1), most.Seconds()) * float64(time.Second))
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
		token, err := p.poll(ctx, d)
		switch {
		case err == nil:
			return p.grantOf(token), nil
		case ctx.Err() != nil:
			return Grant{}, ctx.Err()
		}
		e := p.failure(err)
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
func (p *Provider) poll(ctx context.Context, d *Device) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
	defer cancel()
	config := p.config()
	call := clientcredentials.Config{
		ClientID:       config.ClientID,
		ClientSecret:   config.ClientSecret,
		TokenURL:       config.Endpoint.TokenURL,
		AuthStyle:      config.Endpoint.AuthStyle,
		EndpointParams: url.Values{"grant_type": {deviceGrant}, "device_code": {d.code}},
	}
	token, err := call.Token(p.withClient(ctx))
	if err != nil {
		return nil, err
	}
	return token, p.usable(token)
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
		e.Kind = Passing // no grant has ended
		e.Code, e.Err = "access_denied", errors.New("whoever entered the code did not agree")
	case "expired_token":
		e.Err = errors.New("the code has expired before anybody entered it and agreed")
	}
	return e
}
