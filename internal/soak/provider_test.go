//go:build linux

package soak

import (
	"crypto/rand"
	"encoding/json"
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

	"github.com/xoauthd/xoauthd/internal/idp"
)

// The accounts. The last is the one whose mail is read by POP3.
var accounts = []string{"alice@example.com", "bob@example.com", "carol@example.com"}

// tokenLife makes each account refresh about every two seconds while it is used.
const tokenLife = 3 * time.Second

// A provider is the OAuth 2.0 server. It revokes a grant whose refresh token comes a
// second time.
type provider struct {
	idp     *idp.Server
	address string
	secret  string // of the client

	mu     sync.Mutex
	server *http.Server // nil while connections are refused
	latest map[string]rotation

	fault     atomic.Pointer[http.HandlerFunc] // answers in the place of the provider
	refreshes atomic.Int64
}

// A rotation is the last exchange of an account's refresh token for another.
type rotation struct {
	began, answered time.Time
	cut             bool // the answer was not sent
}

// newProvider starts the provider. It ends with the test.
func newProvider(t *testing.T) *provider {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	slog.SetDefault(slog.New(slog.DiscardHandler)) // where the provider's library logs each refusal
	p := &provider{address: ln.Addr().String(), secret: rand.Text(), latest: make(map[string]rotation)}
	must(t, ln.Close()) // start listens again, at the same port
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

// stop refuses connections, and ends those that there are. Requests that have come
// are answered before: a refresh token that was exchanged is not lost.
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

// answer answers as the provider does, but cuts the connection after it has rotated
// the refresh token of the account cut.
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
	// Until the answer is sent, a kill of the daemon may lose it.
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

// lost returns why the grant of an account could not be kept, or nothing.
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

// during puts f in the place of the token endpoint, until over is called.
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
