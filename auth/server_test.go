package auth

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// A server is a token endpoint without a network, so that its time can be
// virtual. Its answers depend on how many requests it has had, this included.
type server struct {
	answer  func(n int, form url.Values) (status int, body string)
	latency time.Duration
	header  http.Header
	fails   error // in the place of an answer

	mu       sync.Mutex
	requests []url.Values
}

func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.requests = append(s.requests, form)
	n := len(s.requests)
	s.mu.Unlock()
	if s.latency > 0 {
		select {
		case <-time.After(s.latency):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if s.fails != nil {
		return nil, s.fails
	}
	status, text := s.answer(n, form)
	if status == 0 {
		return nil, fmt.Errorf("lookup %s: no such host", req.URL.Host)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	for k, v := range s.header {
		header[k] = v
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// numbered gives token1, token2, … for an hour each.
func numbered(n int, _ url.Values) (int, string) {
	return 200, fmt.Sprintf(`{"access_token":"token%d","token_type":"Bearer","expires_in":3600}`, n)
}

// always gives the same answer.
func always(status int, body string) func(int, url.Values) (int, string) {
	return func(int, url.Values) (int, string) { return status, body }
}

const (
	withdrawn   = `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`
	badClient   = `{"error":"invalid_client"}`
	unavailable = `{"error":"temporarily_unavailable"}`
)

// in changes its mind at the request with number n.
func in(n int, before, after func(int, url.Values) (int, string)) func(int, url.Values) (int, string) {
	return func(i int, form url.Values) (int, string) {
		if i < n {
			return before(i, form)
		}
		return after(i, form)
	}
}

func newProvider(s *server) *Provider {
	return &Provider{
		Name: "example",
		OAuth: oauth2.Config{
			ClientID:     "client",
			ClientSecret: "client-secret",
			Endpoint:     oauth2.Endpoint{AuthURL: "https://example.com/auth", TokenURL: "https://example.com/token"},
			RedirectURL:  "http://127.0.0.1:1180/callback",
			Scopes:       []string{"mail"},
		},
		Client: &http.Client{Transport: answers{s}, Timeout: callTime},
	}
}

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir, Encryption{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// newAccount is an account that has the grant g, or none if it is empty.
func newAccount(t *testing.T, s *server, g Grant) *Account {
	t.Helper()
	store := openStore(t, filepath.Join(t.TempDir(), "state"))
	if !g.empty() {
		if err := store.Save("joe", g); err != nil {
			t.Fatal(err)
		}
	}
	a := NewAccount("joe", newProvider(s), nil, store, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() { a.Wait(context.WithoutCancel(t.Context())) }) // so that nothing is written afterwards
	return a
}

// granted is a grant that has had its access token for age, of an hour.
func granted(age time.Duration) Grant {
	then := time.Now().Round(0).Add(-age)
	return Grant{AccessToken: "token0", RefreshToken: "refresh0", Expiry: then.Add(time.Hour), Obtained: then}
}

// onDisk is what a daemon that starts now would have.
func onDisk(t *testing.T, a *Account) Grant {
	t.Helper()
	g, err := a.store.Load(a.name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
