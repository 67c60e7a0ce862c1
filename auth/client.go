package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// callTime is how long one call may take, body included. A login waits
	// for it, and its client gives up after 30 seconds or so.
	callTime = 10 * time.Second

	maxAnswer  = 1 << 20  // bytes of body; token answers are a few KiB
	maxHeaders = 64 << 10 // bytes; far beyond what any provider sends
)

// NewHTTPClient returns a client for token endpoints: bounded in time and
// size, without redirects (which would carry the client's secret elsewhere),
// through proxy, as that of http.Transport: http.ProxyFromEnvironment, for
// example, or nil for none. Servers must have a certificate from roots, or from
// the system's if roots is nil; so must the proxy, if its URL is https.
func NewHTTPClient(roots *x509.CertPool, proxy func(*http.Request) (*url.URL, error)) *http.Client {
	return &http.Client{
		Timeout: callTime,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: answers{&http.Transport{
			Proxy:                  proxy,
			OnProxyConnectResponse: connected,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeaders,
			IdleConnTimeout:        30 * time.Second, // refreshes are an hour apart
		}},
	}
}

// connected says at which proxy a call came to an end, and what to do. The proxy's
// own words may be anything: what it was sent, for one.
func connected(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	hint := "Check token_url, and whether the proxy lets one connect to it: proxy in the provider's section, or HTTPS_PROXY in the environment."
	switch answer.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		hint = "The proxy wants a user name and password, or others: put them into proxy in the provider's section, or into HTTPS_PROXY in the environment, as http://user:password@host:port."
	}
	return &Error{
		Kind: Passing,
		Err:  fmt.Errorf("HTTP proxy %s: %d %s", proxy.Host, answer.StatusCode, http.StatusText(answer.StatusCode)),
		hint: hint,
	}
}

// answers reads answers whole, within bounds, and mends what servers get wrong
// in JSON and x/oauth2 does not take: the content type, and odd lifetimes.
type answers struct{ http.RoundTripper }

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	rotation := rotationOf(req.Context())
	resp, err := a.RoundTripper.RoundTrip(rotation.traced(req))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errors.New("the answer is longer than 1 MiB")
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) == nil && fields != nil {
		resp.Header.Set("Content-Type", "application/json")
		body = mendLifetime(fields, body)
	}
	rotation.note(resp, fields, body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

// mendLifetime makes expires_in, where it is there, a whole number of seconds
// from 1 to those of a day; one that says nothing is left out.
func mendLifetime(fields map[string]json.RawMessage, body []byte) []byte {
	raw, found := fields["expires_in"]
	if !found {
		return body
	}
	seconds, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || math.IsNaN(seconds) {
		delete(fields, "expires_in")
	} else {
		seconds = min(max(seconds, minLife.Seconds()), maxLife.Seconds())
		fields["expires_in"] = strconv.AppendInt(nil, int64(seconds), 10)
	}
	mended, err := json.Marshal(fields)
	if err != nil {
		return body
	}
	return mended
}
