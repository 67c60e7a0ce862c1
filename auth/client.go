package auth

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
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
// through the proxy that the environment names. Servers must have a
// certificate from roots, or from the system's if roots is nil.
func NewHTTPClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: callTime,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: answers{&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeaders,
			IdleConnTimeout:        30 * time.Second, // refreshes are an hour apart
		}},
	}
}

// answers reads answers whole, within bounds, and mends what servers get wrong
// in JSON and x/oauth2 does not take: the content type, and odd lifetimes.
type answers struct{ http.RoundTripper }

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(req)
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
