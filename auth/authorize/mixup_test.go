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

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/pagepath"
	"github.com/xoauthd/xoauthd/internal/testing/idp"
)

// A mixUp is the setup of a mix-up attack (RFC 9700 section 4.4): the pages with an account
// at an honest provider and one at a hostile provider. The hostile provider redirects
// browsers to the honest one, which issues a code for the client and verifier of the
// authorization at the hostile provider.
type mixUp struct {
	url             string // URL of the pages
	honest, hostile *realAccount
	honestServer    *idp.Server

	mu     sync.Mutex
	stolen []url.Values // requests to the hostile token endpoint
}

// A mixUpConfig determines the protection against the hostile provider.
type mixUpConfig struct {
	path       string // path of the hostile provider's redirect URL; the honest one's is /callback/honest
	issuer     string // Issuer of the hostile provider
	requireIss bool   // RequireIss of the hostile provider
	sendsIss   bool   // SendsIss of the hostile provider
	noIss      bool   // the honest provider sends no iss
}

func newMixUp(t *testing.T, c mixUpConfig) *mixUp {
	t.Helper()
	pages := httptest.NewUnstartedServer(nil)
	m := &mixUp{url: "http://" + pages.Listener.Addr().String()}
	t.Cleanup(pages.Close)
	m.serveHonest(t, c.noIss)
	m.serveHostile(t, c)
	var err error
	pages.Config.Handler, err = New(Config{Accounts: []*Account{m.honest.account(), m.hostile.account()}, ListenAddresses: []string{pages.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	pages.Start()
	return m
}

// account returns an account at the OAuth server with this URL.
func (m *mixUp) account(name, server, path string) *realAccount {
	a := &realAccount{newAccount(name), &oauth.Provider{Name: name, OAuth: oauth2.Config{
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
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.ServeHTTP(issRemover{w}, r) })
	}
	s.Start()
	t.Cleanup(s.Close)
}

// An issRemover removes the iss parameter from redirects.
type issRemover struct{ http.ResponseWriter }

func (w issRemover) WriteHeader(status int) {
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
	m.hostile.issuer, m.hostile.requireIss, m.hostile.sendsIss = c.issuer, c.requireIss, c.sendsIss
}

// browse opens link and agrees at the provider. It returns the last address of the browser
// and its page. If stay is set, the browser does not follow redirects to the pages.
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

// begin starts an authorization at the hostile provider. See browse.
func (m *mixUp) begin(t *testing.T, browser *http.Client, stay bool) (ended, page string) {
	t.Helper()
	return m.browse(t, browser, m.url+pagepath.Account(m.hostile.name), stay)
}

// assertSafe fails the test if the code of the honest provider was used or stolen.
func (m *mixUp) assertSafe(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.stolen) > 0 {
		t.Errorf("the hostile provider received a code and verifier: %v", m.stolen)
	}
	if n := m.honestServer.TokenRequests(); n > 0 {
		t.Errorf("%d token requests at the honest provider", n)
	}
	if len(m.honest.kept)+len(m.hostile.kept) > 0 {
		t.Error("a grant is kept")
	}
}

// TestMixUp checks that a hostile provider never receives the code of an honest one.
func TestMixUp(t *testing.T) {
	const own, shared, other = "/callback/hostile", "/callback/honest", "https://hostile.example"
	for _, test := range []struct {
		name string
		c    mixUpConfig
		want string
	}{
		{"different paths", mixUpConfig{path: own}, "it arrived at another address than"},
		{"different paths, no iss", mixUpConfig{path: own, noIss: true}, "it arrived at another address than"},
		{"different paths and issuers", mixUpConfig{path: own, issuer: other, requireIss: true}, "it arrived at another address than"},
		{"same path, another issuer", mixUpConfig{path: shared, issuer: other}, "not from https://hostile.example"},
		{"same path, required iss is missing", mixUpConfig{path: shared, issuer: other, requireIss: true, noIss: true}, "it has no iss"},
		{"same path, iss of the metadata is missing", mixUpConfig{path: shared, issuer: other, sendsIss: true, noIss: true}, "it has no iss"},
		{"same path, unexpected iss", mixUpConfig{path: shared}, "has no issuer to compare it with"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMixUp(t, test.c)
			redirect := m.hostile.redirect

			browser := newBrowser(t)
			_, page := m.begin(t, browser, false)
			assertContains(t, page, m.hostile.name+" was not authorized", test.want)
			m.assertSafe(t)

			// The authorization has ended. The correct path does not accept its code either.
			browser = newBrowser(t)
			ended, _ := m.begin(t, browser, true)
			for _, address := range []string{ended, redirect + ended[strings.Index(ended, "?"):]} {
				answer, err := browser.Get(address)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
			}
			m.assertSafe(t)

			browser = newBrowser(t)
			ended, _ = m.begin(t, browser, true)
			for i, pasted := range []string{ended[strings.Index(ended, "?"):], ended, ended} {
				answer, err := browser.PostForm(m.url+pagepath.Account(m.hostile.name)+"/address", url.Values{"address": {pasted}})
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				text := []string{"The address is incomplete", test.want, "Show the result"}[i]
				assertContains(t, string(b), text)
			}
			m.assertSafe(t)

			flow := NewCodeFlow(m.hostile.account())
			ended, _ = m.browse(t, newBrowser(t), flow.URL(), true)
			if _, err := flow.Finish(t.Context(), ended[strings.Index(ended, "?"):]); err == nil {
				t.Error("the command line accepts a response without the address")
			}
			if o, err := flow.Finish(t.Context(), ended); err != nil || o.Kind != wrongIssuer || !strings.Contains(o.causes(), test.want) {
				t.Errorf("command line: %+v, %v", o, err)
			}
			if o, err := flow.Finish(t.Context(), redirect+ended[strings.Index(ended, "?"):]); err == nil {
				t.Errorf("the command line accepts the response again: %+v", o)
			}
			m.assertSafe(t)

			browser = newBrowser(t)
			_, page = m.browse(t, browser, m.url+pagepath.Account(m.honest.name), false)
			assertContains(t, page, m.honest.name+" is authorized")
		})
	}
}

// TestMixUpIsDetected checks that TestMixUp would detect a theft. It uses a shared path
// without an issuer, which the configuration rejects.
func TestMixUpIsDetected(t *testing.T) {
	m := newMixUp(t, mixUpConfig{path: "/callback/honest", noIss: true})
	m.begin(t, newBrowser(t), false)
	if len(m.stolen) != 1 || m.stolen[0].Get("code") == "" || m.stolen[0].Get("code_verifier") == "" {
		t.Errorf("the hostile provider received %v", m.stolen)
	}
}
