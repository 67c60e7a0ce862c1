package authorize

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/pagepath"
	"github.com/xoauthd/xoauthd/internal/testing/idp"
)

// A realAccount obtains its grants from an OAuth server.
type realAccount struct {
	*fakeAccount
	provider *oauth.Provider
}

func (a *realAccount) account() *Account {
	account := a.fakeAccount.account()
	account.Client = a
	return account
}

func (a *realAccount) AuthCodeURL(state, verifier, _ string) string {
	return a.provider.AuthCodeURL(state, verifier, a.name)
}

func (a *realAccount) Redact(text string) string { return a.provider.Redact(text) }

func (a *realAccount) Exchange(ctx context.Context, code, verifier string) (oauth.Grant, error) {
	return a.provider.Exchange(ctx, code, verifier)
}

func newRealAccount(t *testing.T, name string) *realAccount {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	issuer := "http://" + s.Listener.Addr().String()
	const redirect = "http://localhost/callback" // nothing listens there
	server, err := idp.New(idp.Config{Issuer: issuer, ClientID: "xoauthd", RedirectURLs: []string{redirect}, Users: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = server
	s.Start()
	t.Cleanup(s.Close)
	a := &realAccount{newAccount(name), &oauth.Provider{Name: "example", OAuth: oauth2.Config{
		ClientID: "xoauthd", RedirectURL: redirect, Scopes: []string{idp.ScopeMail, "openid", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: issuer + idp.AuthorizePath, TokenURL: issuer + idp.TokenPath, AuthStyle: oauth2.AuthStyleInParams},
	}}}
	a.issuer, a.redirect = issuer, redirect
	return a
}

// consent opens link, agrees, and returns the last address of the browser.
func (a *realAccount) consent(t *testing.T, link string) string {
	t.Helper()
	var ended string
	c := http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), a.redirect) {
			ended = r.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	page, err := c.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	login := page.Request.URL
	form := url.Values{"id": {login.Query().Get("id")}, "mailbox": {a.name}, "answer": {"allow"}}
	login.RawQuery = ""
	answer, err := c.PostForm(login.String(), form)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if ended == "" {
		t.Fatalf("the browser ended at %s: %s", answer.Request.URL, answer.Status)
	}
	return ended
}

// TestOAuthServer pastes the last address of the browser on the command line and on the
// page. The server requires the verifier and sends iss.
func TestOAuthServer(t *testing.T) {
	a := newRealAccount(t, "joe@example.com")
	flow := NewCodeFlow(a.account())
	o, err := flow.Finish(t.Context(), a.consent(t, flow.URL()))
	if err != nil || o.Kind != authorized {
		t.Fatalf("%+v, %v", o, err)
	}

	s := newSite(t, "", a)
	w := s.do("POST", home+"/authorize/joe@example.com")
	c := w.Result().Cookies()[0]
	v := &visit{s, c.Name + "=" + c.Value, ""}
	ended := a.consent(t, w.Header().Get("Location"))
	w = v.paste(strings.TrimPrefix(ended, "http://"))
	page := v.do("GET", home+w.Header().Get("Location"), "Cookie", v.cookie).Body.String()
	assertContains(t, page, "joe@example.com is authorized")
	if len(a.kept) != 2 || a.kept[1].RefreshToken == "" || a.kept[0].AccessToken == a.kept[1].AccessToken {
		t.Errorf("kept %+v", a.kept)
	}
	if !strings.Contains(ended, "iss=") {
		t.Errorf("no iss in %s", ended)
	}
}

// TestReservedPaths checks that a redirect URL can have the path of no page.
func TestReservedPaths(t *testing.T) {
	used := map[string]bool{}
	for _, p := range new(endpoint).pages() {
		used[p.path] = true
		if !slices.Contains(pagepath.Reserved(), p.path) {
			t.Errorf("%s is not reserved", p.path)
		}
	}
	for _, path := range pagepath.Reserved() {
		if !used[path] {
			t.Errorf("%s is reserved, but there is no page", path)
		}
	}
}
