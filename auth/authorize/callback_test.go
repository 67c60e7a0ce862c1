package authorize

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
)

var errRefused = errors.New("AUTHENTICATE: NO [AUTHENTICATIONFAILED] invalid credentials")

// errDialing is the error of a refused connection.
var errDialing = fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")})

func TestCallback(t *testing.T) {
	imap := Trial{Protocol: "IMAP", Upstream: "imap.example.com:993", Took: 300 * time.Millisecond}
	failing := func(err error, hint string) Trial {
		return Trial{Protocol: "SMTP", Upstream: "smtp.example.com:587", Err: err, Took: time.Second, Hint: hint}
	}
	invalidGrant := &oauth.Error{Kind: oauth.NeedsConsent, Code: "invalid_grant", Description: "code expired"}
	html := &oauth.Error{Status: http.StatusBadGateway}

	for _, test := range []struct {
		name   string
		change func(*fakeAccount)
		query  string
		kept   bool // whether Keep is called
		log    string
		page   []string
	}{
		{"all logins succeed", nil, "code=c0de", true, "level=INFO msg=authorization account=joe@example.com result=authorized client=192.0.2.1:1234",
			[]string{"joe@example.com is authorized", "IMAP login at imap.example.com:993", "ok in 0.3 s", "SMTP login", ">Saving<", "Done<"}},
		{"one of two logins succeeds", func(a *fakeAccount) { a.trials = []Trial{imap, failing(errRefused, "Ask <the> administrator.")} }, "code=c0de", true,
			`level=WARN msg=authorization account=joe@example.com result=authorized client=192.0.2.1:1234 error="SMTP login at smtp.example.com:587: AUTHENTICATE: NO`,
			[]string{"is authorized", "See below why the other steps failed", "invalid credentials", "Ask &lt;the&gt; administrator.", "failed after 1.0 s", "Done in part"}},
		{"no login succeeds, identity unknown", func(a *fakeAccount) { a.trials = []Trial{failing(errRefused, "")} }, "code=c0de", false,
			`level=WARN msg=authorization account=joe@example.com result="no mailbox opened"`,
			[]string{"was not authorized", "probably signed in to another mailbox. Authorize again and sign in as joe@example.com", "Authorize again"}},
		{"no login succeeds, another person signed in", func(a *fakeAccount) { a.trials, a.identity = []Trial{failing(errRefused, "")}, "bob@<b>example.com" }, "code=c0de", false,
			`result="no mailbox opened" client=192.0.2.1:1234 identity=bob@<b>example.com error="Signed in as bob@<b>example.com: expected joe@example.com; SMTP login`,
			[]string{`<span class="what">Signed in as bob@&lt;b&gt;example.com</span> <span class="how">failed</span></p>
<p class="cause">expected joe@example.com</p>`, "You signed in as bob@&lt;b&gt;example.com, but this account is joe@example.com. Nothing was kept. Authorize again and sign in as joe@example.com."}},
		{"no login succeeds, delegate did not sign in", func(a *fakeAccount) {
			a.trials, a.identity, a.hint = []Trial{failing(errRefused, "")}, "bob@example.com", "ann@example.com"
		}, "code=c0de", false, `"no mailbox opened"`,
			[]string{"this account is joe@example.com. Nothing was kept. Authorize again and sign in as ann@example.com."}},
		{"no login succeeds, expected person signed in", func(a *fakeAccount) { a.trials, a.identity = []Trial{failing(errRefused, "")}, "Joe@Example.com" }, "code=c0de", false, `"no mailbox opened"`,
			[]string{"Joe@Example.com signed in, as expected"}},
		{"another person signed in, server may ignore the user name", func(a *fakeAccount) { a.identity = "bob@example.com" }, "code=c0de", false, `result="another person signed in"`,
			[]string{"expected joe@example.com", "set login_hint = &#34;bob@example.com&#34; for the account", "You signed in as bob@example.com, but this account is joe@example.com.", "Nothing was kept"}},
		{"the delegate signed in", func(a *fakeAccount) { a.identity, a.hint = "ann@example.com", "Ann@example.com" }, "code=c0de", true, "result=authorized", nil},
		{"requested id_token is missing", func(a *fakeAccount) { a.scopes = []string{"mail", "openid"} }, "code=c0de", false, `result="another person signed in"`,
			[]string{"Example Mail did not report it, although the scope openid requests it", "Nothing was kept"}},
		{"requested id_token is missing, server checks the user name", func(a *fakeAccount) { a.scopes, a.checksUser = []string{"mail", "openid"}, true }, "code=c0de", true, "result=authorized", nil},
		{"id_token without an address", func(a *fakeAccount) { a.scopes, a.idToken = []string{"mail", "openid"}, true }, "code=c0de", true, "result=authorized",
			[]string{"Identity of the user is unknown", "Only the mail server confirms"}},
		{"no id_token requested", nil, "code=c0de", true, "level=INFO", []string{"Identity of the user is unknown", "add openid and email to its scopes"}},
		{"another person signed in, server checks the user name", func(a *fakeAccount) { a.identity, a.checksUser = "bob@example.com\r\n", true }, "code=c0de", true, "level=INFO msg=authorization account=joe@example.com result=authorized client=192.0.2.1:1234 identity=bob@example.com",
			[]string{`<span class="what">Signed in as bob@example.com</span> <span class="how">ok`, "joe@example.com is authorized", "Done<"}},
		{"mail servers unreachable", func(a *fakeAccount) { a.trials, a.identity = []Trial{failing(errDialing, "")}, "bob@example.com" }, "code=c0de", false, `"no mailbox opened"`,
			[]string{"No mail server could be reached", `Signed in as bob@example.com</span> <span class="how">ok<`}},
		{"no mail server is configured", func(a *fakeAccount) { a.trials = nil }, "code=c0de", false, `"no mailbox opened"`,
			[]string{"No mail server is configured"}},
		{"the grant cannot be saved", func(a *fakeAccount) { a.keepErr = fmt.Errorf("%w: no space left on device", auth.ErrNotSaved) }, "code=c0de", true, `level=WARN msg=authorization account=joe@example.com result="not saved"`,
			[]string{"is authorized in part", "Done in part", "Programs can log in now", "could not save the new authorization", "no space left on device", ">Authorize again<"}},
		{"no refresh token", func(a *fakeAccount) { a.short = true }, "code=c0de", true, `result=authorized client=192.0.2.1:1234 error="Refresh token: the provider returned none`,
			[]string{"is authorized in part", "authorization ends on 6 May 2030, 07:08", "offline_access", "Done in part"}},
		{"no refresh token, but the present grant has one", func(a *fakeAccount) {
			a.short, a.status.State, a.keepErr = true, auth.Authorized, auth.ErrEarlierKept
		}, "code=c0de", true, `level=WARN msg=authorization account=joe@example.com result="no refresh token"`,
			[]string{"was not authorized", "Not done", "ends on 6 May 2030, 07:08", "which can be renewed. Its earlier authorization stays in use.", "access_type = &#34;offline&#34;", "remove the access of this app on the security page of the account at Example Mail"}},
		{"no login succeeds, authorized before", func(a *fakeAccount) { a.status.State, a.trials = auth.Authorized, []Trial{failing(errRefused, "")} }, "code=c0de", false, `"no mailbox opened"`,
			[]string{"was not authorized", "Its earlier authorization stays in use."}},
		{"expired code", func(a *fakeAccount) { a.exchangeErr = fmt.Errorf("token: %w", invalidGrant) }, "code=c0de", false, `result="no token"`,
			[]string{"returned no token", "invalid_grant: code expired", "Authorize again."}},
		{"token endpoint replies with HTML", func(a *fakeAccount) { a.exchangeErr = html }, "code=c0de", false, `result="no token"`,
			[]string{"HTTP status 502"}},
		{"token endpoint unreachable", func(a *fakeAccount) { a.exchangeErr = errDialing }, "code=c0de", false, `result="no token"`,
			[]string{"connection refused", "cannot be reached from this machine"}},
		{"the person refused", nil, "error=access_denied&error_description=The+user+said+%3Cb%3Eno", false, `result="refused by the provider"`,
			[]string{"Access was refused at Example Mail", "access_denied: The user said &lt;b&gt;no", "agree to what is asked"}},
		{"an administrator must consent", nil, "error=access_denied&error_description=AADSTS90094%3A+Admin+consent+is+required.%0d%0aTrace+ID%3A+1", false, "AADSTS90094",
			[]string{"AADSTS90094: Admin consent is required. Trace ID: 1", "An administrator of the organisation has to consent"}},
		{"the error is very long", nil, "error=server_error&error_description=" + strings.Repeat("x", 5000), false, "server_error",
			[]string{strings.Repeat("x", 400), "…"}},
		{"neither code nor error", nil, "", false, `result="refused by the provider"`,
			[]string{"neither a code nor an error"}},
		{"expected issuer", func(a *fakeAccount) { a.issuer = "https://id.example" }, "code=c0de&iss=https://id.example", true, "result=authorized", nil},
		{"no iss", func(a *fakeAccount) { a.issuer = "https://id.example" }, "code=c0de", true, "result=authorized", nil},
		{"iss without a configured issuer", nil, "code=c0de&iss=https://any.example", false, `result="answered by another provider"`,
			[]string{"has no issuer to compare it with", "set issuer = &#34;https://any.example&#34; in its section", "was not authorized"}},
		{"required iss", func(a *fakeAccount) { a.issuer, a.requireIss = "https://id.example", true }, "code=c0de&iss=https://id.example", true, "result=authorized", nil},
		{"required iss is missing", func(a *fakeAccount) { a.issuer, a.requireIss = "https://id.example", true }, "code=c0de", false, `result="answered by another provider"`,
			[]string{"it has no iss, and https://id.example always sends one"}},
		{"required iss is missing in an error", func(a *fakeAccount) { a.issuer, a.requireIss = "https://id.example", true }, "error=x", false, `result="answered by another provider"`, nil},
		{"issuer of a tenant", func(a *fakeAccount) { a.issuer = "https://login.example/{tenantid}/v2.0" }, "code=c0de&iss=https://login.example/0123abcd-4567-89ab-cdef-0123456789ab/v2.0", true, "result=authorized", nil},
		{"issuer with trailing text after the tenant", func(a *fakeAccount) { a.issuer = "https://login.example/{tenantid}/v2.0" }, "code=c0de&iss=https://login.example/0123abcd-4567-89ab-cdef-0123456789ab/v2.0/v2.0", false, `result="answered by another provider"`, nil},
		{"issuer is the template itself", func(a *fakeAccount) { a.issuer = "https://login.example/{tenantid}/v2.0" }, "code=c0de&iss=https://login.example/%7Btenantid%7D/v2.0", false, `result="answered by another provider"`, nil},
		{"another issuer", func(a *fakeAccount) { a.issuer = "https://id.example" }, "code=c0de&iss=https://evil.example", false, `result="answered by another provider"`,
			[]string{"it comes from https://evil.example, not from https://id.example", "was not authorized"}},
		{"empty iss", func(a *fakeAccount) { a.issuer = "https://id.example" }, "code=c0de&iss=", false, `result="answered by another provider"`, nil},
		{"error contains secrets", func(a *fakeAccount) { a.secrets.Add("GOCSPX-9vR~xT_k2Lw") },
			"error=x&error_description=no+GOCSPX-9vR%257ExT_k2Lw+for+%26%2399%3B0de&code=c0de", false, `result="refused by the provider"`, []string{"x: no (hidden) for (hidden)"}},
		{"issuer contains a secret", func(a *fakeAccount) { a.secrets.Add("GOCSPX-9vR~xT_k2Lw") },
			"code=c0de&iss=https://GOCSPX-9vR~xT_k2Lw", false, `result="answered by another provider"`, []string{"it has an iss, https://(hidden), and"}},
		{"error from another issuer", func(a *fakeAccount) { a.issuer = "https://id.example" }, "error=x&iss=https://evil.example", false, `result="answered by another provider"`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccount("joe@example.com")
			if test.change != nil {
				test.change(a)
			}
			s := newSite(t, "", a)
			v := s.begin(a.name)
			page := v.finish(test.query)

			assertContains(t, page, test.page...)
			assertContains(t, s.log.String(), test.log)
			if strings.Contains(page, "is authorized") == strings.Contains(page, "Its earlier") && a.status.State == auth.Authorized {
				t.Errorf("the page must name either the new or the earlier authorization:\n%s", page)
			}
			if got := len(a.kept) == 1; got != test.kept {
				t.Errorf("kept = %v, want %v", got, test.kept)
			}
			if got, want := len(a.discarded) == 1, len(a.exchanges) == 1 && a.exchangeErr == nil && (!test.kept || errors.Is(a.keepErr, auth.ErrEarlierKept)); got != want {
				t.Errorf("discarded = %v, want %v", got, want)
			}
			if strings.Contains(page, "Signed in as Joe@") {
				t.Errorf("the page mentions the expected identity:\n%s", page)
			}
			if n := strings.Count(s.log.String(), "\n"); n != 1 {
				t.Errorf("%d lines logged, want 1:\n%s", n, s.log)
			}
			secrets := []string{"token-for-", "refresh-for-", "c0de", v.state, strings.Repeat("x", maxText+1), "body-of-the-answer", "xT_k2Lw"}
			for _, e := range a.exchanges {
				secrets = append(secrets, strings.Fields(e)[1])
			}
			for _, secret := range secrets {
				if strings.Contains(page+s.log.String(), secret) {
					t.Errorf("%.20q is shown or logged", secret)
				}
			}
		})
	}
}

func TestCallbackSendsVerifier(t *testing.T) {
	a := newAccount("joe@example.com")
	s := newSite(t, "", a)
	w := s.do("POST", home+"/authorize/joe@example.com")
	to, _ := w.Result().Location()
	c := w.Result().Cookies()[0]
	v := &visit{s, c.Name + "=" + c.Value, to.Query().Get("state")}
	v.finish("code=abc")
	if len(a.exchanges) != 1 {
		t.Fatalf("exchanges = %q", a.exchanges)
	}
	code, verifier, _ := strings.Cut(a.exchanges[0], " ")
	if code != "abc" || challengeOf(verifier) != to.Query().Get("code_challenge") {
		t.Errorf("exchanged %q, challenge %s", a.exchanges[0], to.Query().Get("code_challenge"))
	}
	if len(v.state) < 26 || len(verifier) < 43 {
		t.Errorf("state %q or verifier %q is too short", v.state, verifier)
	}
	if len(a.kept) != 1 || a.kept[0].AccessToken != "token-for-abc" {
		t.Errorf("kept %v", a.kept)
	}
}

// TestCallbackRejected checks responses that xoauthd must ignore.
func TestCallbackRejected(t *testing.T) {
	for _, test := range []struct {
		name   string
		send   func(v *visit) (status int, page string)
		status int
		page   string
	}{
		{"state unknown", func(v *visit) (int, string) { v.state = "x"; return statusAndBody(v.back("code=1")) }, 400, "Unexpected response"},
		{"state missing", func(v *visit) (int, string) {
			return statusAndBody(v.do("GET", home+"/callback?code=1", "Cookie", v.cookie))
		}, 400, "Unexpected response"},
		{"error without state", func(v *visit) (int, string) {
			return statusAndBody(v.do("GET", home+"/callback?error=x&error_description=PHISH", "Cookie", v.cookie))
		}, 400, "Unexpected response"},
		{"no cookie", func(v *visit) (int, string) { v.cookie = ""; return statusAndBody(v.back("code=1")) }, 403, "Started in another browser"},
		{"cookie of another browser", func(v *visit) (int, string) {
			v.cookie = v.begin("joe@example.com").cookie
			return statusAndBody(v.back("code=1"))
		}, 403, "Started in another browser"},
		{"state repeated", func(v *visit) (int, string) { return statusAndBody(v.back("code=1&state=" + v.state)) }, 400, "Invalid response"},
		{"code repeated", func(v *visit) (int, string) { return statusAndBody(v.back("code=1&code=1")) }, 400, "“code” more than once"},
		{"iss repeated", func(v *visit) (int, string) { return statusAndBody(v.back("code=1&iss=a&iss=a")) }, 400, "“iss” more than once"},
		{"error repeated", func(v *visit) (int, string) { return statusAndBody(v.back("error=PHISH&error=PHISH")) }, 400, "“error” more than once"},
		{"HEAD request", func(v *visit) (int, string) {
			return statusAndBody(v.do("HEAD", home+"/callback?code=1&state="+v.state, "Cookie", v.cookie))
		}, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccount("joe@example.com")
			v := newSite(t, "", a).begin(a.name)
			valid := *v
			status, page := test.send(v)
			if status != test.status || !strings.Contains(page, test.page) || strings.Contains(page, "PHISH") {
				t.Errorf("%d, want %d with %q:\n%s", status, test.status, test.page, page)
			}
			if len(a.exchanges) != 0 {
				t.Errorf("exchanged %q", a.exchanges)
			}
			assertContains(t, valid.finish("code=1"), "is authorized") // the authorization is still pending
		})
	}
}

func TestCallbackTwice(t *testing.T) {
	a := newAccount("joe@example.com")
	v := newSite(t, "", a).begin(a.name)
	to := v.back("code=1").Header().Get("Location")
	w := v.back("code=1")
	if w.Code != http.StatusConflict || len(a.exchanges) != 1 {
		t.Errorf("%d with %d exchanges, want 409 with 1", w.Code, len(a.exchanges))
	}
	assertContains(t, w.Body.String(), "Response already used", `href="`+to+`"`)
	for range 2 { // a reload
		assertContains(t, v.do("GET", home+to, "Cookie", v.cookie).Body.String(), "joe@example.com is authorized")
	}
}

func TestCallbackWhileExchanging(t *testing.T) {
	a := newAccount("joe@example.com")
	v := newSite(t, "", a).begin(a.name)
	a.during = func() {
		w := v.back("code=1")
		if w.Code != http.StatusConflict {
			t.Errorf("second callback: %d", w.Code)
		}
		_, rest, _ := strings.Cut(w.Body.String(), `href="/result/`)
		id, _, _ := strings.Cut(rest, `"`)
		page := v.do("GET", home+"/result/"+id, "Cookie", v.cookie).Body.String()
		assertContains(t, page, "One moment", `http-equiv="refresh"`)
	}
	assertContains(t, v.finish("code=1"), "is authorized")
	if len(a.exchanges) != 1 {
		t.Errorf("%d exchanges, want 1", len(a.exchanges))
	}
}

// A contextAccount records the error of Try's context.
type contextAccount struct {
	*fakeAccount
	err error
}

func (p *contextAccount) account() *Account {
	account := p.fakeAccount.account()
	account.Grants = p
	return account
}

func (p *contextAccount) Try(ctx context.Context, g oauth.Grant) []Trial {
	p.err = ctx.Err()
	return p.fakeAccount.Try(ctx, g)
}

func TestCallbackOutlivesClient(t *testing.T) {
	a := &contextAccount{fakeAccount: newAccount("joe@example.com")}
	v := newSite(t, "", a).begin(a.name)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(gone, "GET", home+"/callback?code=1&state="+v.state, nil)
	r.Header.Set("Cookie", v.cookie)
	v.handler.ServeHTTP(httptest.NewRecorder(), r)
	if a.err != nil || len(a.kept) != 1 {
		t.Errorf("context: %v; kept %d grants, want 1", a.err, len(a.kept))
	}
}

func TestForwardedAddressIsLogged(t *testing.T) {
	a := newAccount("joe@example.com")
	v := newSite(t, "", a).begin(a.name)
	v.back("code=1", "X-Forwarded-For", "203.0.113.7\t198.51.100.1")
	assertContains(t, v.log.String(), `client=192.0.2.1:1234 forwarded_for="203.0.113.7 198.51.100.1"`)
}

// TestLoginEnded checks that the account receives each trial once the grant is in use.
func TestLoginEnded(t *testing.T) {
	refused := Trial{Protocol: "SMTP", Upstream: "smtp.example.com:587", Err: errors.New("535 no")}
	for _, test := range []struct {
		name    string
		keepErr error
		trials  []Trial
		want    []string
	}{
		{"kept", nil, []Trial{{Protocol: "IMAP"}, refused}, []string{"imap: <nil>", "smtp: 535 no"}},
		{"kept, but not saved", auth.ErrNotSaved, []Trial{{Protocol: "IMAP"}}, []string{"imap: <nil>"}},
		{"not kept", auth.ErrEarlierKept, []Trial{{Protocol: "IMAP"}, refused}, nil},
		{"no mailbox opened", nil, []Trial{refused}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccount("joe@example.com")
			a.trials, a.keepErr = test.trials, test.keepErr
			newSite(t, "", a).begin(a.name).finish("code=c0de")
			if !slices.Equal(a.logins, test.want) {
				t.Errorf("logins = %q, want %q", a.logins, test.want)
			}
		})
	}
}
