//go:build linux

package soak

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/idp"
)

// The accounts. The client of POP3 uses the last.
var accounts = []string{"alice@example.com", "bob@example.com", "carol@example.com"}

// tokenLife is short, so that each account in use is refreshed about every two seconds.
const tokenLife = 3 * time.Second

// A provider is the OAuth 2.0 provider. It rotates refresh tokens, and revokes a grant
// if a refresh token is used twice.
type provider struct {
	idp     *idp.Server
	address string
	secret  string // of the client

	mu     sync.Mutex
	server *http.Server // nil while connections are refused
	latest map[string]rotation

	fault     atomic.Pointer[http.HandlerFunc] // the token endpoint during a fault
	refreshes atomic.Int64
}

// A rotation is the latest successful refresh of an account.
type rotation struct {
	began, answered time.Time
	cut             bool // the answer was not sent
}

// newProvider starts the provider. It ends with the test.
func newProvider(t *testing.T) *provider {
	t.Helper()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the provider's library logs every error
	p := &provider{
		address: fmt.Sprintf("127.0.0.1:%d", unusedPort(t)),
		secret:  rand.Text(),
		latest:  make(map[string]rotation),
	}
	var err error
	p.idp, err = idp.New(idp.Config{
		Issuer:          p.issuer(),
		ClientID:        "xoauthd",
		ClientSecret:    p.secret,
		RedirectURLs:    []string{"http://localhost/callback"},
		Users:           accounts,
		AccessTokenLife: tokenLife,
	})
	must(t, err)
	p.start(t)
	t.Cleanup(p.stop)
	return p
}

func (p *provider) issuer() string { return "http://" + p.address }

// start accepts connections.
func (p *provider) start(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", p.address)
	must(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = &http.Server{Handler: p}
	go p.server.Serve(ln)
}

// stop stops to accept connections. It completes the requests under way, so that no
// rotated refresh token is lost.
func (p *provider) stop() {
	p.mu.Lock()
	server := p.server
	p.mu.Unlock()
	ctx, cancel := timeout(10 * time.Second)
	defer cancel()
	server.Shutdown(ctx)
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := p.fault.Load(); f != nil && r.URL.Path == idp.TokenPath {
		(*f)(w, r)
		return
	}
	p.answer(w, r, "")
}

// answer answers a request. If it has rotated the refresh token of the account cut, it
// closes the connection without an answer.
func (p *provider) answer(w http.ResponseWriter, r *http.Request, cut string) {
	began := time.Now()
	answer := httptest.NewRecorder()
	p.idp.ServeHTTP(answer, r)
	account := p.accountOf(answer.Body.Bytes())
	if account == "" {
		send(w, answer)
		return
	}
	p.refreshes.Add(1)
	// The end is open until the answer is sent: a kill before that loses the answer.
	p.note(account, rotation{began: began, answered: time.Now().Add(time.Minute), cut: account == cut})
	time.Sleep(mathrand.N(mostDelay))
	if account == cut {
		hangUp(w)
		return
	}
	send(w, answer)
	p.note(account, rotation{began: began, answered: time.Now()})
}

func send(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
	w.(http.Flusher).Flush()
}

func hangUp(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
}

// accountOf returns the account of the access token in an answer, if it has one.
func (p *provider) accountOf(answer []byte) string {
	var tokens struct {
		Access string `json:"access_token"`
	}
	if json.Unmarshal(answer, &tokens) != nil {
		return ""
	}
	account, _ := p.idp.User(tokens.Access)
	return account
}

func (p *provider) note(account string, r rotation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latest[account] = r
}

// lost returns why the loss of an account's grant was unavoidable, or "" if it was not.
func (p *provider) lost(account string, killed func(begin, end time.Time) bool) string {
	p.mu.Lock()
	r := p.latest[account]
	p.mu.Unlock()
	switch {
	case r.cut:
		return "provider's answer was cut"
	case killed(r.began, r.answered):
		return "daemon was killed before it could save"
	}
	return ""
}

// during replaces the token endpoint by f until over is called.
func (p *provider) during(f http.HandlerFunc) (over func()) {
	p.fault.Store(&f)
	return func() { p.fault.Store(nil) }
}

func (p *provider) unavailable(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "try again later", http.StatusServiceUnavailable)
}

func (p *provider) slow(w http.ResponseWriter, r *http.Request) {
	time.Sleep(2 * time.Second)
	p.answer(w, r, "")
}

func (p *provider) malformed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"access_token": "`)
}
