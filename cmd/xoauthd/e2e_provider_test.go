package main_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/idp"
)

// A provider is the OAuth 2.0 server. It records each secret that it issues.
type provider struct {
	issuer  string
	config  idp.Config
	secrets *secrets
	idp     atomic.Pointer[idp.Server]
	server  *http.Server

	unknownClient atomic.Bool // the token endpoint says that it knows no such client
}

// startProvider starts the server. The end of the test stops it.
func startProvider(t *testing.T, e *env) *provider {
	issuer := fmt.Sprintf("http://127.0.0.1:%d", e.freePort(t))
	p := &provider{
		issuer:  issuer,
		secrets: &e.secrets,
		config: idp.Config{
			Issuer:        issuer,
			ClientID:      "xoauthd",
			ClientSecret:  rand.Text(),
			RedirectURLs:  []string{fmt.Sprintf("http://localhost:%d/callback", e.web)},
			Users:         e.mailboxes,
			ServiceID:     "mail",
			ServiceSecret: rand.Text(),
		},
	}
	e.secrets.add("client secret", p.config.ClientSecret)
	p.renew(t, time.Hour)
	p.start(t)
	t.Cleanup(func() { p.stop(t) })
	return p
}

// registered replaces the client registrations, and deletes all grants. The end of the
// test restores the registrations.
func (p *provider) registered(t *testing.T, change func(*idp.Config)) {
	t.Helper()
	before := p.config
	t.Cleanup(func() {
		p.config = before
		p.renew(t, time.Hour)
	})
	change(&p.config)
	p.renew(t, time.Hour)
}

// renew replaces the server by one without grants.
func (p *provider) renew(t *testing.T, life time.Duration) {
	t.Helper()
	p.config.AccessTokenLife = life
	s, err := idp.New(p.config)
	must(t, err)
	p.idp.Store(s)
}

// start listens on the provider's fixed address.
func (p *provider) start(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", p.issuer[len("http://"):])
	must(t, err)
	p.server = &http.Server{Handler: p}
	go p.server.Serve(ln)
}

// stop closes the listener. The provider keeps its state.
func (p *provider) stop(t *testing.T) {
	t.Helper()
	must(t, p.server.Close())
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	server := p.idp.Load()
	p.secrets.add(state, r.URL.Query().Get("state"))
	if r.URL.Path != idp.TokenPath {
		server.ServeHTTP(w, r)
		return
	}
	if p.unknownClient.Load() {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error":"invalid_client"}`)
		return
	}
	p.secrets.add("authorization code", r.FormValue("code"))
	p.secrets.add("PKCE verifier", r.FormValue("code_verifier"))
	p.secrets.add("device code", r.FormValue("device_code"))
	p.secrets.add("assertion", r.FormValue("client_assertion"))
	p.secrets.add("assertion", r.FormValue("assertion"))
	answer := &copied{ResponseWriter: w}
	server.ServeHTTP(answer, r)
	var tokens struct {
		Access   string `json:"access_token"`
		Refresh  string `json:"refresh_token"`
		Identity string `json:"id_token"`
	}
	if json.Unmarshal(answer.body.Bytes(), &tokens) != nil {
		return
	}
	p.secrets.add("access token", tokens.Access)
	p.secrets.add("refresh token", tokens.Refresh)
	p.secrets.add("ID token", tokens.Identity)
}

// copied is a ResponseWriter that also stores the body.
type copied struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (c *copied) Write(b []byte) (int, error) {
	c.body.Write(b)
	return c.ResponseWriter.Write(b)
}

// secrets maps each secret, which no output may contain, to its description.
type secrets struct {
	mu  sync.Mutex
	all map[string]string
}

// state is the one secret that xoauthd prints: `authorize --terminal` shows a URL that
// contains it.
const state = "state"

// add adds a secret, and its forms in URLs and in base64. It ignores the empty string.
func (s *secrets) add(what, secret string) {
	if secret == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]string)
	}
	s.all[secret] = what
	for _, escaped := range []string{url.QueryEscape(secret), url.PathEscape(secret)} {
		s.all[escaped] = what
	}
	for _, encoded := range withinBase64(secret) {
		s.all[encoded] = what + " in base64"
		s.all[strings.NewReplacer("+", "-", "/", "_").Replace(encoded)] = what + " in base64"
	}
}

// withinBase64 returns the parts of text that stay recognizable in base64, whatever
// precedes and follows it.
func withinBase64(text string) (all []string) {
	for before := range 3 {
		n := before + len(text)
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), text...))
		all = append(all, encoded[(before*8+5)/6:n*8/6])
	}
	return all
}

func (s *secrets) list() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.all)
}
