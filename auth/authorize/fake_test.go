package authorize

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/shutdown"
)

// A fakeAccount is an Account whose behavior its fields determine.
type fakeAccount struct {
	secrets redact.Secrets

	name, issuer, redirect, authURL string
	requireIss, sendsIss            bool
	issDecided                      bool
	pattern                         string
	title                           string    // of the provider; empty means Example Mail
	flow                            flow.Flow // empty means flow.AuthorizationCode
	disabled                        bool
	hint                            string // LoginHint
	status                          auth.Status
	scopes                          []string
	exchangeErr, keepErr            error
	trials                          []Trial
	during                          func() // called by Exchange
	short                           bool   // grants have no refresh token
	identity                        string // Identity of grants
	idToken                         bool   // IDToken of grants
	checksUser                      bool   // ChecksUser of the Registration
	scope                           string // Scope of grants
	shutdown                        *shutdown.Shutdown

	device    *oauth.Device
	deviceErr error      // error of DeviceAuth
	asking    func()     // called by DeviceAuth
	answers   chan error // AwaitDevice returns the next error from here

	mu          sync.Mutex
	deviceAuths int      // number of calls of DeviceAuth
	exchanges   []string // code and verifier of each call of Exchange
	kept        []oauth.Grant
	discarded   []string      // access tokens
	access      auth.Access   // access of the present grant
	replaced    []auth.Access // access of grants that replace the present one before each Keep
	logins      []string      // calls of LoginEnded
}

// ends is the expiry of all access tokens of a fakeAccount.
var ends = time.Date(2030, 5, 6, 7, 8, 0, 0, time.Local)

// account returns a as an Account.
func (a *fakeAccount) account() *Account {
	return &Account{
		Name:         a.name,
		Pattern:      a.pattern,
		Provider:     cmp.Or(a.title, "Example Mail"),
		Flow:         cmp.Or(a.flow, flow.AuthorizationCode),
		Enabled:      !a.disabled,
		LoginHint:    a.hint,
		Registration: Registration{RedirectURL: a.redirect, RedirectURI: a.redirect, Scopes: a.scopes, Issuer: a.issuer, RequireIss: a.requireIss, IssDecided: a.issDecided, ChecksUser: a.checksUser},
		Client:       a,
		Grants:       a,
		Shutdown:     a.shutdown,
	}
}

func (a *fakeAccount) Status() auth.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	if s.Why != "" && s.Problems == nil {
		s.Problems = []auth.Problem{{Part: auth.PartProvider, Text: s.Why, Hint: s.Hint}}
	}
	return s
}

// Hint returns the hints for Microsoft.
func (a *fakeAccount) Hint(code, description string) string {
	return (&oauth.Provider{Family: oauth.Microsoft}).Hint(code, description)
}

func (a *fakeAccount) DeviceAuth(context.Context) (*oauth.Device, error) {
	a.mu.Lock()
	a.deviceAuths++
	a.mu.Unlock()
	if a.asking != nil {
		a.asking()
	}
	return a.device, a.deviceErr
}

func (a *fakeAccount) AwaitDevice(ctx context.Context, d *oauth.Device) (oauth.Grant, error) {
	select {
	case err := <-a.answers:
		return a.grant(d.UserCode), err
	case <-ctx.Done():
		return oauth.Grant{}, ctx.Err()
	}
}

func (a *fakeAccount) AuthCodeURL(state, verifier, _ string) string {
	return a.authURL + "?" + url.Values{
		"state":          {state},
		"code_challenge": {challengeOf(verifier)},
		"redirect_uri":   {a.redirect},
	}.Encode()
}

func (a *fakeAccount) SendsIss(context.Context) bool { return a.sendsIss }

func (a *fakeAccount) Redact(text string) string { return a.secrets.Redact(text) }

func (a *fakeAccount) Exchange(_ context.Context, code, verifier string) (oauth.Grant, error) {
	if a.during != nil {
		a.during()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.exchanges = append(a.exchanges, code+" "+verifier)
	return a.grant(code), a.exchangeErr
}

func (a *fakeAccount) grant(code string) oauth.Grant {
	g := oauth.Grant{AccessToken: "token-for-" + code, RefreshToken: "refresh-for-" + code, Expiry: ends, Identity: a.identity, IDToken: a.idToken, Scope: a.scope}
	if a.short {
		g.RefreshToken = ""
	}
	return g
}

func (a *fakeAccount) Try(context.Context, oauth.Grant) []Trial { return a.trials }

func (a *fakeAccount) LoginEnded(protocol string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logins = append(a.logins, fmt.Sprint(protocol, ": ", err))
}

func (a *fakeAccount) Access() auth.Access {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.access
}

func (a *fakeAccount) Discard(g oauth.Grant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.discarded = append(a.discarded, g.AccessToken)
}

func (a *fakeAccount) Keep(g oauth.Grant, _ auth.Access, _ bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.replaced) > 0 {
		a.access, a.replaced = a.replaced[0], a.replaced[1:]
		return auth.ErrReplaced
	}
	a.kept = append(a.kept, g)
	if a.keepErr == nil || errors.Is(a.keepErr, auth.ErrNotSaved) { // the grant is in use
		a.status.State, a.status.Why = auth.Authorized, ""
	}
	return a.keepErr
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// newAccount returns an account that has never been authorized and whose trial logins
// succeed.
func newAccount(name string) *fakeAccount {
	return &fakeAccount{
		name:     name,
		redirect: "http://127.0.0.1:1180/callback",
		authURL:  "https://provider.example/authorize",
		status:   auth.Status{State: auth.NeedsAuthorization, Why: "never authorized"},
		trials: []Trial{
			{Protocol: "IMAP", Upstream: "imap.example.com:993", Took: 300 * time.Millisecond},
			{Protocol: "SMTP", Upstream: "smtp.example.com:587", Took: 400 * time.Millisecond},
		},
	}
}

// An accounter is a fake for an Account.
type accounter interface{ account() *Account }

func accounters(accounts []*fakeAccount) (all []accounter) {
	for _, a := range accounts {
		all = append(all, a)
	}
	return all
}

// A site is the handler under test with its log.
type site struct {
	t       *testing.T
	handler http.Handler
	log     *bytes.Buffer
}

func newSite(t *testing.T, public string, accounts ...accounter) *site {
	t.Helper()
	var all []*Account
	for _, a := range accounts {
		all = append(all, a.account())
	}
	s := &site{t: t, log: new(bytes.Buffer)}
	var err error
	s.handler, err = New(Config{
		Accounts: all, ListenAddresses: []string{"127.0.0.1:1180"}, PublicURL: public, Version: "v1.2.3",
		Log: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do sends a request. The headers are pairs of name and value.
func (s *site) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	return s.send(httptest.NewRequest(method, target, nil), headers...)
}

// post sends a form.
func (s *site) post(path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", home+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.send(r, headers...)
}

func (s *site) send(r *http.Request, headers ...string) *httptest.ResponseRecorder {
	for i := 0; i < len(headers); i += 2 {
		switch headers[i] {
		case "Host":
			r.Host = headers[i+1]
		case from:
			r.RemoteAddr = headers[i+1]
		default:
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// from is a pseudo header that sets the client's address.
const from = "(from)"

const home = "http://127.0.0.1:1180"

// A visit is an authorization that the browser has started.
type visit struct {
	*site
	cookie string // value of the Cookie header
	state  string
}

// begin starts an authorization, like the button of the account's page.
func (s *site) begin(name string, headers ...string) *visit {
	s.t.Helper()
	w := s.do("POST", home+"/authorize/"+url.PathEscape(name), headers...)
	if w.Code != http.StatusSeeOther || len(w.Result().Cookies()) != 1 {
		s.t.Fatalf("POST: %d %v", w.Code, w.Header())
	}
	to, err := w.Result().Location()
	if err != nil {
		s.t.Fatal(err)
	}
	c := w.Result().Cookies()[0]
	return &visit{s, c.Name + "=" + c.Value, to.Query().Get("state")}
}

// back sends the provider's response, with query after the state.
func (v *visit) back(query string, headers ...string) *httptest.ResponseRecorder {
	return v.do("GET", home+"/callback?state="+v.state+"&"+query, append([]string{"Cookie", v.cookie}, headers...)...)
}

// finish calls back and returns the result page.
func (v *visit) finish(query string) string {
	v.t.Helper()
	w := v.back(query)
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/result/") {
		v.t.Fatalf("callback: %d, to %q: %s", w.Code, to, w.Body)
	}
	w = v.do("GET", home+to, "Cookie", v.cookie)
	if w.Code != http.StatusOK {
		v.t.Fatalf("result: %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// assertContains fails the test for each text that got does not contain.
func assertContains(t *testing.T, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("%q is not in:\n%s", text, got)
		}
	}
}

// statusAndBody returns the status and the body of a reply.
func statusAndBody(w *httptest.ResponseRecorder) (int, string) { return w.Code, w.Body.String() }
