package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
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

// NewHTTPClient returns a client for token endpoints. It limits the time and the size of headers, and follows
// no redirects, which would send the client's secret elsewhere. proxy is that of
// http.Transport; nil is none. Servers, and a proxy with an https URL, must have a
// certificate of roots, or of the system if roots is nil.
func NewHTTPClient(roots *x509.CertPool, proxy func(*http.Request) (*url.URL, error)) *http.Client {
	return &http.Client{
		Timeout: callTime,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: &http.Transport{
			Proxy:                  proxy,
			OnProxyConnectResponse: connected,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeaders,
			IdleConnTimeout:        30 * time.Second, // refreshes are an hour apart
		},
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
		Kind:   Temporary,
		Err:    fmt.Errorf("HTTP proxy %s: %d %s", proxy.Host, answer.StatusCode, http.StatusText(answer.StatusCode)),
		Remedy: hint,
	}
}
