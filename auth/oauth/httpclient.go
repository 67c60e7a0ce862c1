package oauth

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
	// callTime limits one request, including the body. A login waits for it, and clients
	// give up after about 30 seconds.
	callTime = 10 * time.Second

	// RefreshTimeout limits one refresh. The provider's client gives up before that; this is
	// for a client without a timeout.
	RefreshTimeout = 30 * time.Second

	// MaxRetryAfter limits the pause that a provider asks for.
	MaxRetryAfter = 15 * time.Minute

	maxAnswer  = 1 << 20  // bytes of body; token answers are a few KiB
	maxHeaders = 64 << 10 // bytes; far beyond what any provider sends
)

// NewHTTPClient returns a client for token endpoints. It limits time and size, and follows
// no redirects, which would send the client's secret elsewhere. proxy is that of
// http.Transport; nil is none. Servers, and a proxy with an https URL, must have a
// certificate of roots, or of the system if roots is nil.
func NewHTTPClient(roots *x509.CertPool, proxy func(*http.Request) (*url.URL, error)) *http.Client {
	return &http.Client{
		Timeout: callTime,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: BoundedTransport{&http.Transport{
			Proxy:                  proxy,
			OnProxyConnectResponse: connected,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeaders,
			IdleConnTimeout:        30 * time.Second, // refreshes are an hour apart
		}},
	}
}

// connected returns the error of a proxy, with a remedy. It does not contain the words of
// the proxy, which may repeat what it was sent.
func connected(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	hint := "Check token_url, and whether the proxy lets one connect to it: proxy in the provider's section, or HTTPS_PROXY in the environment."
	switch answer.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		hint = "The proxy wants a user name and password, or others: put them into proxy in the provider's section, or into HTTPS_PROXY in the environment, as http://user:password@host:port."
	}
	return &Error{
		Kind:   Passing,
		Err:    fmt.Errorf("HTTP proxy %s: %d %s", proxy.Host, answer.StatusCode, http.StatusText(answer.StatusCode)),
		Remedy: hint,
	}
}

// A BoundedTransport reads whole answers of limited size, and corrects what servers get wrong and
// x/oauth2 does not accept: the content type, and unusual lifetimes.
type BoundedTransport struct{ http.RoundTripper }

func (a BoundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
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

// mendLifetime converts expires_in to an integer between 1 and a day in seconds, and removes
// an invalid one.
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
