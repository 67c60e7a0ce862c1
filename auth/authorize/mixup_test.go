package authorize

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/idp"
)

// A mixUp is an endpoint with an account at an honest provider and one at a
// hostile one, which sends browsers on to the honest one: the code that this
// gives is for the honest client, but the verifier is that of an attempt at the
// hostile provider (RFC 9700 section 4.4).
type mixUp struct {
	url             string // of the pages
	honest, hostile *realAccount
	honestServer    *idp.Server

	mu     sync.Mutex
	stolen []url.Values // what the hostile token endpoint was sent
}

// mixUpConfig is what protects from the hostile provider, or does not.
type mixUpConfig struct {
	path       string // of the hostile provider's redirect URL; the honest one's is /callback/honest
	issuer     string // of the hostile provider
	requireIss bool   // of the hostile provider
	noIss      bool   // the honest provider does not say who it is
}

func newMixUp(t *testing.T, c mixUpConfig) *mixUp {
	t.Helper()
	pages := httptest.NewUnstartedServer(nil)
	m := &mixUp{url: "http://" + pages.Listener.Addr().String()}
	t.Cleanup(pages.Close)
	m.serveHonest(t, c.noIss)
	m.serveHostile(t, c)
	var err error
	pages.Config.Handler, err = New(Config{Accounts: []Account{m.honest, m.hostile}, ListenAddresses: []string{pages.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	pages.Start()
	return m
}

// account is one at the server of that address.
func (m *mixUp) account(name, server, path string) *realAccount {
	a := &realAccount{newAccount(name), &auth.Provider{Name: name, OAuth: oauth2.Config{
		ClientID: "xoauthd", RedirectURL: m.url + path, Scopes: []string{idp.ScopeMail},
		Endpoint: oauth2.Endpoint{AuthURL: server + idp.AuthorizePath, TokenURL: server + idp.TokenPath, AuthStyle: oauth2.AuthStyleInParams},
	}}}
	a.redirect, a.authURL = m.url+path, server+idp.AuthorizePath
	return a
}

func (m *mixUp) serveHonest(t *testing.T, noIss bool) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	issuer := "http://" + s.Listener.Addr().String()
	m.honest = m.account("joe@example.com", issuer, "/callback/honest")
	m.honest.issuer = issuer
	server, err := idp.New(idp.Config{Issuer: issuer, ClientID: "xoauthd", RedirectURLs: []string{m.honest.redirect}, Users: []string{"joe@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	m.honestServer, s.Config.Handler = server, server
	if noIss {
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.ServeHTTP(silent{w}, r) })
	}
	s.Start()
	t.Cleanup(s.Close)
}

// A silent provider takes its issuer out of the redirect.
type silent struct{ http.ResponseWriter }

func (w silent) WriteHeader(status int) {
	if u, err := url.Parse(w.Header().Get("Location")); err == nil && u.Query().Has("iss") {
		q := u.Query()
		q.Del("iss")
		u.RawQuery = q.Encode()
		w.Header().Set("Location", u.String())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (m *mixUp) serveHostile(t *testing.T, c mixUpConfig) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+idp.AuthorizePath, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Set("redirect_uri", m.honest.redirect)
		http.Redirect(w, r, m.honest.authURL+"?"+q.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST "+idp.TokenPath, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		m.mu.Lock()
		m.stolen = append(m.stolen, r.PostForm)
		m.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	m.hostile = m.account("ann@example.com", s.URL, c.path)
	m.hostile.issuer, m.hostile.requireIss = c.issuer, c.requireIss
}

// browse is a person who opens link, agrees at the provider where the browser
// comes to, and sees page in the end, which is at ended. If stay is set, the
// browser does not open the pages again, as where it does not reach them.
func (m *mixUp) browse(t *testing.T, browser *http.Client, link string, stay bool) (ended, page string) {
	t.Helper()
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if stay && strings.HasPrefix(r.URL.String(), m.url) {
			ended = r.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { browser.CheckRedirect = nil }()
	method := browser.Get
	if strings.HasPrefix(link, m.url) {
		method = func(link string) (*http.Response, error) { return browser.PostForm(link, nil) }
	}
	login, err := method(link)
	if err != nil {
		t.Fatal(err)
	}
	login.Body.Close()
	if !strings.HasPrefix(login.Request.URL.String(), m.honest.issuer) {
		t.Fatalf("the browser is not at the honest provider but at %s: %s", login.Request.URL, login.Status)
	}
	at := login.Request.URL
	form := url.Values{"id": {at.Query().Get("id")}, "mailbox": {"joe@example.com"}, "answer": {"allow"}}
	at.RawQuery = ""
	answer, err := browser.PostForm(at.String(), form)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !stay {
		ended = answer.Request.URL.String()
	}
	return ended, string(b)
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// begin has the browser begin at the hostile provider. See browse.
func (m *mixUp) begin(t *testing.T, browser *http.Client, stay bool) (ended, page string) {
	t.Helper()
	return m.browse(t, browser, m.url+AccountPath(m.hostile.name), stay)
}

// safe fails the test if anything of the honest provider got anywhere.
func (m *mixUp) safe(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.stolen) > 0 {
		t.Errorf("the hostile provider has a code of the honest one, and its verifier: %v", m.stolen)
	}
	if n := m.honestServer.TokenRequests(); n > 0 {
		t.Errorf("%d requests for tokens at the honest provider", n)
	}
	if len(m.honest.kept)+len(m.hostile.kept) > 0 {
		t.Error("a grant is kept")
	}
}

// TestMixUp has a hostile provider send the browser on to an honest one. By no
// way does it get the code.
func TestMixUp(t *testing.T) {
	const own, shared, other = "/callback/hostile", "/callback/honest", "https://hostile.example"
	for _, test := range []struct {
		name string
		c    mixUpConfig
		why  string
	}{
		{"a path each", mixUpConfig{path: own}, "it arrived at another address than"},
		{"a path each, and no iss", mixUpConfig{path: own, noIss: true}, "it arrived at another address than"},
		{"a path each, and issuers", mixUpConfig{path: own, issuer: other, requireIss: true}, "it arrived at another address than"},
		{"one path, an issuer that is compared", mixUpConfig{path: shared, issuer: other}, "not from https://hostile.example"},
		{"one path, an issuer that is required", mixUpConfig{path: shared, issuer: other, requireIss: true, noIss: true}, "it has no iss"},
		{"one path, an iss where none is expected", mixUpConfig{path: shared}, "has no issuer to compare it with"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMixUp(t, test.c)
			right := m.hostile.redirect

			browser := newBrowser(t)
			_, page := m.begin(t, browser, false)
			wants(t, page, m.hostile.name+" was not authorized", test.why)
			m.safe(t)

			// The attempt has ended: its code is not taken at the right path either.
			browser = newBrowser(t)
			ended, _ := m.begin(t, browser, true)
			for _, address := range []string{ended, right + ended[strings.Index(ended, "?"):]} {
				answer, err := browser.Get(address)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
			}
			m.safe(t)

			browser = newBrowser(t)
			ended, _ = m.begin(t, browser, true)
			for i, pasted := range []string{ended[strings.Index(ended, "?"):], ended, ended} {
				answer, err := browser.PostForm(m.url+AccountPath(m.hostile.name)+"/address", url.Values{"address": {pasted}})
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				want := []string{"That is not the whole address", test.why, "See what came of it"}[i]
				wants(t, string(b), want)
			}
			m.safe(t)

			attempt := Begin(m.hostile)
			ended, _ = m.browse(t, newBrowser(t), attempt.URL(), true)
			if _, err := attempt.Finish(t.Context(), ended[strings.Index(ended, "?"):]); err == nil {
				t.Error("a terminal takes a response without the address")
			}
			if o, err := attempt.Finish(t.Context(), ended); err != nil || o.Outcome != wrongIssuer || !strings.Contains(o.causes(), test.why) {
				t.Errorf("at a terminal: %+v, %v", o, err)
			}
			if o, err := attempt.Finish(t.Context(), right+ended[strings.Index(ended, "?"):]); err == nil {
				t.Errorf("a terminal takes the response a second time: %+v", o)
			}
			m.safe(t)

			browser = newBrowser(t)
			_, page = m.browse(t, browser, m.url+AccountPath(m.honest.name), false)
			wants(t, page, m.honest.name+" is authorized")
		})
	}
}

// TestMixUpIsSeen shows that TestMixUp sees a theft: a shared path without an
// issuer, which the configuration refuses.
func TestMixUpIsSeen(t *testing.T) {
	m := newMixUp(t, mixUpConfig{path: "/callback/honest", noIss: true})
	m.begin(t, newBrowser(t), false)
	if len(m.stolen) != 1 || m.stolen[0].Get("code") == "" || m.stolen[0].Get("code_verifier") == "" {
		t.Errorf("the hostile provider was sent %v", m.stolen)
	}
}
