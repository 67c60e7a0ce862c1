package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/text"
)

// An endpoint is a URL of the provider that accepts forms.
type endpoint struct{ name, url string }

func (p *Provider) tokenEndpoint() endpoint {
	return endpoint{"token endpoint", p.OAuth.Endpoint.TokenURL}
}

// An answer has the parameters of an endpoint's answer, by name.
type answer map[string]any

// text returns a parameter that is a string, and "" for any other.
func (a answer) text(name string) string {
	s, _ := a[name].(string)
	return s
}

// number returns a parameter that is a number, which some providers put into a string.
func (a answer) number(name string) (n float64, ok bool) {
	switch v := a[name].(type) {
	case json.Number:
		n, err := v.Float64()
		return n, err == nil
	case string:
		n, err := strconv.ParseFloat(v, 64)
		return n, err == nil && !math.IsNaN(n)
	}
	return 0, false
}

// token requests a token from the token endpoint: every grant type but that of a service
// account, which is no client. Its errors are of type *Error. With an error, the answer may
// still have a refresh token that has replaced the one sent.
func (p *Provider) token(ctx context.Context, form url.Values) (answer, error) {
	a, err := p.request(ctx, p.tokenEndpoint(), form)
	return p.checked(a, err)
}

// request sends form to an endpoint with client authentication (RFC 6749 section 2.3, RFC
// 7523 section 2.2). It never tries out how the server wants the client to authenticate: that
// would send a refused request a second time, and a server that rotates refresh tokens may
// take that for a theft.
func (p *Provider) request(ctx context.Context, e endpoint, form url.Values) (answer, error) {
	header := make(http.Header)
	id, secret := p.OAuth.ClientID, p.OAuth.ClientSecret
	switch {
	case p.Assertion != nil:
		// A server may treat the second use of an assertion as a replay.
		assertion, err := p.Assertion.assertion(id, p.OAuth.Endpoint.TokenURL)
		if err != nil {
			return nil, err
		}
		form.Set("client_id", id)
		form.Set("client_assertion_type", clientAssertionType)
		form.Set("client_assertion", assertion)
	case secret != "" && p.OAuth.Endpoint.AuthStyle == oauth2.AuthStyleInHeader:
		basic := http.Request{Header: header}
		basic.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	default:
		form.Set("client_id", id)
		if secret != "" {
			form.Set("client_secret", secret)
		}
	}
	return p.send(ctx, e, form, header)
}

// secretFields are the fields of requests whose values stay secret after the request.
var secretFields = []string{"refresh_token", "token", "client_secret", "client_assertion", "password", "assertion", "device_code"}

// send sends form to an endpoint and returns its answer. The secrets in form are hidden in
// what the provider sends from then on. Errors are of type *Error. The answer of an error is
// nil, unless it has the status of a success.
func (p *Provider) send(ctx context.Context, e endpoint, form url.Values, header http.Header) (answer, error) {
	p.secrets().Add(p.OAuth.ClientSecret)
	for _, field := range secretFields {
		p.secrets().Add(form[field]...)
	}
	// Anybody can bring a code made of words that the log needs: it is a secret of this
	// request only.
	own := redact.New(form.Get("code"), form.Get("code_verifier"))
	var sent atomic.Bool
	fail := func(err error) error {
		var e *Error
		if errors.As(err, &e) { // of the proxy; see NewHTTPClient
			return e
		}
		return &Error{Kind: Temporary, Err: own.Error(p.secrets().Error(err)), Lost: sent.Load(), Family: p.Family}
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(w httptrace.WroteRequestInfo) { sent.Store(sent.Load() || w.Err == nil) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fail(err)
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := p.client().Do(req)
	if err != nil {
		return nil, fail(err)
	}
	body, err := readBody(resp)
	if err != nil {
		return nil, fail(fmt.Errorf("%s: %w", e.name, err))
	}
	a := parseAnswer(resp, body)
	good := resp.StatusCode >= 200 && resp.StatusCode <= 299
	if good && a.text("error") == "" {
		return a, nil
	}
	words := func(s string) string { return text.Line(own.Redact(p.Redact(s)), maxText) }
	refusal := &Error{
		Code:        words(a.text("error")),
		Description: words(a.text("error_description")),
		Status:      resp.StatusCode,
		RetryAfter:  retryAfter(resp.Header.Get("Retry-After")),
		Family:      p.Family,
		endpoint:    e.name,
	}
	refusal.Kind = kind(refusal.Status, refusal.Code, refusal.Description)
	if !good { // the answer has no token, and may repeat the request in changed form
		a = nil
	}
	return a, refusal
}

// client returns the HTTP client for requests.
func (p *Provider) client() *http.Client {
	if p.Client != nil {
		return p.Client
	}
	return NewHTTPClient(nil, http.ProxyFromEnvironment)
}

// readBody reads and closes the body of a response.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("the answer is longer than 1 MiB")
	}
	return body, err
}

// parseObject parses a JSON object, and returns nil for anything else.
func parseObject(text []byte) (a answer) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // one that is out of range must not spoil the rest
	if d.Decode(&a) != nil || d.Decode(new(any)) != io.EOF {
		return nil
	}
	return a
}

// parseAnswer parses a body: a JSON object, whatever its content type, or a form. It returns
// nil for anything else, such as the empty answer of a revocation.
func parseAnswer(resp *http.Response, body []byte) answer {
	if a := parseObject(body); a != nil {
		return a
	}
	var a answer
	contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if contentType != "application/x-www-form-urlencoded" && contentType != "text/plain" {
		return nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil { // the form may have a refresh token, but is not good for more
		form = url.Values{"refresh_token": form["refresh_token"]}
	}
	for _, name := range []string{"access_token", "refresh_token", "token_type", "expires_in", "scope", "id_token", "error", "error_description"} {
		if value := form.Get(name); value != "" {
			if a == nil {
				a = make(answer)
			}
			a[name] = value
		}
	}
	return a
}

// checked returns a, an answer of the token endpoint, and what is wrong with it. Its tokens
// are secret from now on, also with an error.
func (p *Provider) checked(a answer, err error) (answer, error) {
	access, kind := a.text("access_token"), a.text("token_type")
	p.secrets().Add(access, a.text("refresh_token"))
	if err != nil {
		return a, err
	}
	fault := ""
	switch {
	case a == nil:
		fault = "neither JSON nor a form"
	case kind != "" && !strings.EqualFold(kind, "Bearer"):
		fault = "the token is not a bearer token"
	case access == "":
		fault = "it has no access token"
	case len(access) > maxToken:
		fault = "the access token is longer than 16 KiB"
	case !isBearer(access):
		fault = "the access token has characters of no bearer token"
	default:
		return a, nil
	}
	return a, &Error{Kind: Temporary, Err: errors.New("token endpoint: malformed answer: " + fault), Lost: a == nil, Family: p.Family}
}

// maxToken is the longest access token taken. Those of Entra, the longest seen,
// are 4 KiB.
const maxToken = 16 << 10

// tokenChars are those of a bearer token (RFC 6750 section 2.1), less the
// padding. None of them can end a field of XOAUTH2 or a line.
const tokenChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"

// isBearer reports whether s has the form of a bearer token.
func isBearer(s string) bool {
	unpadded := strings.TrimRight(s, "=")
	return unpadded != "" && strings.Trim(unpadded, tokenChars) == ""
}

const (
	defaultLife = time.Hour // RFC 6749 section 5.1 lets a server leave it out
	minLife     = time.Second
	maxLife     = 24 * time.Hour
)

// expiry returns when the token or code of a ends, within bounds. It ends after life if the
// provider does not say.
func (a answer) expiry(now time.Time, life time.Duration) time.Time {
	if seconds, ok := a.number("expires_in"); ok {
		life = time.Duration(min(max(math.Trunc(seconds), minLife.Seconds()), maxLife.Seconds())) * time.Second
	}
	return now.Add(life)
}
