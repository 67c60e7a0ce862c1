// Package tokenserver is a token endpoint without a network, for tests in virtual time.
package tokenserver

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A Server is a token endpoint, as an http.RoundTripper.
type Server struct {
	Answer  func(n int, form url.Values) (status int, body string) // to request n, from 1; status 0 is a network failure
	Latency time.Duration
	Header  http.Header // of answers
	Fails   error       // instead of an answer

	mu       sync.Mutex
	Requests []url.Values
}

// RoundTrip implements http.RoundTripper.
func (s *Server) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.Requests = append(s.Requests, form)
	n := len(s.Requests)
	s.mu.Unlock()
	if s.Latency > 0 {
		select {
		case <-time.After(s.Latency):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if s.Fails != nil {
		return nil, s.Fails
	}
	status, text := s.Answer(n, form)
	if status == 0 {
		return nil, fmt.Errorf("lookup %s: no such host", req.URL.Host)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	for k, v := range s.Header {
		header[k] = v
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
}

// Count returns the number of requests.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.Requests)
}

// Numbered issues token1, token2, … for an hour each.
func Numbered(n int, _ url.Values) (int, string) {
	return 200, fmt.Sprintf(`{"access_token":"token%d","token_type":"Bearer","expires_in":3600}`, n)
}

// Always gives the same answer.
func Always(status int, body string) func(int, url.Values) (int, string) {
	return func(int, url.Values) (int, string) { return status, body }
}

// Bodies of error answers.
const (
	Withdrawn   = `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`
	BadClient   = `{"error":"invalid_client"}`
	unavailable = `{"error":"temporarily_unavailable"}`
)

// In answers as before until request n, and from there as after.
func In(n int, before, after func(int, url.Values) (int, string)) func(int, url.Values) (int, string) {
	return func(i int, form url.Values) (int, string) {
		if i < n {
			return before(i, form)
		}
		return after(i, form)
	}
}

// A Handler serves requests without a network, so that its time can be virtual.
type Handler struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (m Handler) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	in := httptest.NewRequestWithContext(req.Context(), req.Method, req.URL.String(), bytes.NewReader(body))
	in.Header = req.Header
	w := httptest.NewRecorder()
	m.Handler.ServeHTTP(w, in)
	return w.Result(), nil
}
