package idp

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

const (
	alice    = "alice@example.com"
	bob      = "bob@example.com"
	callback = "http://127.0.0.1:1/callback"
)

// A provider is a Server, with a client of it and the browser of a person.
type provider struct {
	*Server
	oauth2.Config
	browser *http.Client
}

// start makes a provider whose configuration change may alter. No network is
// in between, so that time can be virtual.
func start(t *testing.T, change func(*Config)) *provider {
	t.Helper()
	c := Config{
		Issuer:       "http://127.0.0.1:2",
		ClientID:     "xoauthd",
		ClientSecret: "client-secret",
		RedirectURLs: []string{callback},
		Users:        []string{alice, bob},
		ServiceID:    "dovecot", ServiceSecret: "service-secret",
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &provider{
		Server: s,
		Config: oauth2.Config{
			ClientID:     c.ClientID,
			ClientSecret: c.ClientSecret,
			Endpoint: oauth2.Endpoint{
				AuthURL:   c.Issuer + AuthorizePath,
				TokenURL:  c.Issuer + TokenPath,
				AuthStyle: oauth2.AuthStyleInParams,
			},
			RedirectURL: callback,
			Scopes:      []string{"mail", "offline_access"},
		},
		browser: &http.Client{
			Transport: direct{s},
			Jar:       jar,
			CheckRedirect: func(r *http.Request, _ []*http.Request) error {
				if strings.HasPrefix(r.URL.String(), callback) {
					return http.ErrUseLastResponse
				}
				return nil
			},
		},
	}
}

// direct brings a request to a handler.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// ctx is what oauth2 takes its HTTP client from.
func (p *provider) ctx(t *testing.T) context.Context {
	return context.WithValue(t.Context(), oauth2.HTTPClient, p.browser)
}

// visit follows a link and returns the page that it leads to.
func (p *provider) visit(t *testing.T, link string) (status int, page string) {
	t.Helper()
	r, err := p.browser.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, read(t, r)
}

var formID = regexp.MustCompile(`name="id" value="([A-Z2-7]+)"`)

// answer fills in the form of the login page, and returns what the redirect
// carries to the client.
func (p *provider) answer(t *testing.T, page, mailbox, answer string) url.Values {
	t.Helper()
	id := formID.FindStringSubmatch(page)
	if id == nil {
		t.Fatalf("no form in %s", page)
	}
	r, err := p.browser.PostForm(p.Server.config.Issuer+"/login", url.Values{
		"id": {id[1]}, "mailbox": {mailbox}, "answer": {answer},
	})
	if err != nil {
		t.Fatal(err)
	}
	return carried(t, r)
}

// carried returns the parameters of a redirect to the client.
func carried(t *testing.T, r *http.Response) url.Values {
	t.Helper()
	body := read(t, r)
	u, err := url.Parse(r.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(u.String(), callback+"?") {
		t.Fatalf("no way back to the client: %s to %q: %s", r.Status, u, body)
	}
	return u.Query()
}

// authorize goes the whole way and returns the code.
func (p *provider) authorize(t *testing.T, mailbox, verifier string) (code string) {
	t.Helper()
	_, page := p.visit(t, p.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
	code = p.answer(t, page, mailbox, "allow").Get("code")
	if code == "" {
		t.Fatal("no code")
	}
	return code
}

// refresh gets new tokens, as a client with this refresh token alone does.
func (p *provider) refresh(t *testing.T, token string) (*oauth2.Token, error) {
	return p.TokenSource(p.ctx(t), &oauth2.Token{RefreshToken: token}).Token()
}

// post sends a form to an endpoint of the provider, with Basic credentials in
// the URL as Dovecot has them.
func (p *provider) post(t *testing.T, path, user, password string, form url.Values) (status int, body string) {
	t.Helper()
	u, err := url.Parse(p.Server.config.Issuer + path)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" || password != "" {
		u.User = url.UserPassword(user, password)
	}
	r, err := p.browser.PostForm(u.String(), form)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, read(t, r)
}

func read(t *testing.T, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantError checks the error code of the token endpoint.
func wantError(t *testing.T, err error, code string) {
	t.Helper()
	if e, ok := err.(*oauth2.RetrieveError); !ok || e.ErrorCode != code {
		t.Errorf("err = %v, want %s", err, code)
	}
}
