package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/text"
)

// secrets are hidden in what the provider sends.
func (p *Provider) secrets() *redact.Secrets {
	if p.Secrets != nil {
		return p.Secrets
	}
	return &p.own
}

// Redact returns text of the provider without secrets.
func (p *Provider) Redact(text string) string { return p.secrets().Redact(text) }

// secretFields are the fields of requests whose values are secret for longer than
// one call.
var secretFields = []string{"refresh_token", "token", "client_secret", "client_assertion", "password", "assertion", "device_code"}

// A poster sends the requests to the provider's endpoints, each of which posts a
// form. Every secret that goes there is hidden in what comes back.
type poster struct {
	http.RoundTripper
	provider *Provider
}

func (p poster) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err := errors.Join(err, req.Body.Close()); err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	if p.provider.Assertion != nil {
		if err := p.provider.addAssertion(form); err != nil {
			return nil, err
		}
	}
	p.provider.secrets().Add(p.provider.OAuth.ClientSecret)
	for _, field := range secretFields {
		p.provider.secrets().Add(form[field]...)
	}
	req = req.Clone(req.Context())
	setBody(req, form.Encode())
	return p.RoundTripper.RoundTrip(req)
}

// failure returns err, of a call to the provider, with what it means. Everything
// that the provider says of a failure enters here: it is redacted, and made one
// line. The secrets are those of this call alone, such as a code.
func (p *Provider) failure(err error, secrets ...string) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	own := redact.New(secrets...)
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		var lost *lostAnswer
		return &Error{Kind: Passing, Err: own.Error(p.secrets().Error(err)), Lost: errors.As(err, &lost), Family: p.Family}
	}
	words := func(s string) string { return text.Line(own.Redact(p.Redact(s)), maxText) }
	e = &Error{
		Code:        words(answer.ErrorCode),
		Description: words(answer.ErrorDescription),
		Status:      answer.Response.StatusCode,
		RetryAfter:  retryAfter(answer.Response.Header.Get("Retry-After")),
		Family:      p.Family,
	}
	e.Kind = kind(e.Status, e.Code, e.Description)
	return e
}

// AddSecrets hides secrets, such as tokens, in what the provider sends. Only the last ones
// are remembered; see redact.Secrets.
func (p *Provider) AddSecrets(secrets ...string) { p.secrets().Add(secrets...) }

// KeepSecrets is AddSecrets for configured secrets, which are never forgotten.
func (p *Provider) KeepSecrets(secrets ...string) { p.secrets().Keep(secrets...) }
