package authorize

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/flow"
)

// newAutomatic returns an account that needs no consent of a person.
func newAutomatic(name string, f flow.Flow) *fakeAccount {
	a := newAccount(name)
	a.flow, a.redirect, a.authURL = f, "", ""
	a.status = auth.Status{State: auth.Authorized, Obtained: time.Now().Add(-time.Hour), Expiry: time.Now().Add(time.Hour)}
	return a
}

// TestAutomatic checks the pages of accounts that need no consent.
func TestAutomatic(t *testing.T) {
	for f, words := range map[flow.Flow]string{
		"client_credentials": "credentials of its registration at Example Mail",
		"service_account":    "key of a service account",
		"password":           "the user name and the password of the mailbox",
		"command":            "a command from the configuration",
		"app_password":       "does not use OAuth",
		"unknown":            "with the flow unknown",
	} {
		t.Run(string(f), func(t *testing.T) {
			a := newAutomatic("joe@example.com", f)
			s := newSite(t, "", a)
			w := s.do("GET", home+"/authorize/joe@example.com")
			page := w.Body.String()
			assertContains(t, page, words, "needs no authorization", "<code class=\"copy\">sudo -u xoauthd xoauthd check joe@example.com</code>", "Token expires", describeFlow(a.account()).Short)
			assertContains(t, w.Header().Get("Content-Security-Policy"), "form-action 'none'")
			for _, not := range []string{"<form", "<button", "redirect URI", "Last consent", "will ask you to allow"} {
				if strings.Contains(page, not) {
					t.Errorf("%q is on the page:\n%s", not, page)
				}
			}
			assertContains(t, s.do("GET", home+"/").Body.String(), "Example Mail · "+describeFlow(a.account()).Short)
			for _, path := range []string{"/authorize/joe@example.com", "/authorize/joe@example.com?moved"} {
				w = s.do("POST", home+path)
				if w.Code != http.StatusConflict || w.Header().Get("Set-Cookie") != "" {
					t.Errorf("POST: %d", w.Code)
				}
				assertContains(t, w.Body.String(), "This account needs no authorization")
			}
		})
	}
}

// TestState checks the state and the summary of accounts. An account that needs no
// consent is never "authorized", and it is "ready" until it has a token.
func TestState(t *testing.T) {
	fresh, used, ended, broken := newAutomatic("a@example.com", "client_credentials"), newAutomatic("a@example.com", "password"), newAutomatic("a@example.com", "command"), newAutomatic("a@example.com", "command")
	fresh.status = auth.Status{State: auth.Authorized}
	ended.status = auth.Status{State: auth.Authorized, Refreshed: time.Now().Add(-time.Hour)}
	broken.status = auth.Status{State: auth.Failing, Why: "exit status 1"}
	attended, never := newAccount("a@example.com"), newAccount("a@example.com")
	attended.status = auth.Status{State: auth.Authorized}
	smtp, soon := newAccount("a@example.com"), newAccount("a@example.com")
	smtp.status = auth.Status{State: auth.Failing, Problems: []auth.Problem{{Part: "smtp", Text: "upstream refused (SMTP): 535 no", Hint: "Have it enabled.",
		Failing: true, Since: time.Now().Add(-3 * time.Hour), Last: time.Now().Add(-5 * time.Minute), Count: 36}}}
	soon.status = auth.Status{State: auth.Authorized, Expiry: time.Now().Add(time.Hour), Problems: []auth.Problem{{Part: auth.PartProvider, Text: "token endpoint: HTTP status 503"}}}
	off := newAccount("a@example.com")
	off.disabled, off.status = true, auth.Status{State: auth.NeedsAuthorization, Why: "never authorized", Hint: "Do."}
	for _, test := range []struct {
		a             *fakeAccount
		shown, counts string
	}{
		{fresh, `plain">ready<`, "1 account, all working."},
		{used, `good">working<`, "1 account, all working."},
		{ended, `good">working<`, "1 account, all working."},
		{broken, `warn">failing<`, "1 failing."},
		{smtp, `warn">failing<`, "1 failing."},
		{soon, `warn">authorized<`, "0 working, 1 with a warning."},
		{attended, `good">authorized<`, "1 account, all working."},
		{never, `bad">needs authorization<`, "0 working, 1 awaiting authorization."},
		{off, `plain">disabled<`, "1 account: 0 working, 1 disabled."},
	} {
		s := newSite(t, "", test.a)
		assertContains(t, s.do("GET", home+"/").Body.String(), test.shown, test.counts)
		page := s.do("GET", home+"/authorize/a@example.com").Body.String()
		assertContains(t, page, test.shown)
		if problems := test.a.Status().Problems; len(problems) > 0 && strings.Contains(page, "refreshes it by itself") {
			t.Errorf("the page reports no problem despite %v", problems)
		}
	}
	assertContains(t, newSite(t, "", smtp).do("GET", home+"/").Body.String(), `Failing <span class="count">1<`,
		"upstream refused (SMTP): 535 no", "(3 hours ago)</span>, 36 times", "(5 minutes ago)", "Have it enabled.")
}

// TestDisabled checks that a disabled account cannot be authorized.
func TestDisabled(t *testing.T) {
	for _, a := range []*fakeAccount{newAccount("joe@example.com"), newDevice("joe@example.com"), newAutomatic("joe@example.com", "command")} {
		a.disabled = true
		s := newSite(t, "", a)
		for _, path := range []string{"/", "/authorize/joe@example.com"} {
			page := s.do("GET", home+path).Body.String()
			assertContains(t, page, "disabled")
			for _, not := range []string{"<form", "<button", "redirect URI", "never authorized", "needs no authorization"} {
				if strings.Contains(page, not) {
					t.Errorf("%q is on the page:\n%s", not, page)
				}
			}
		}
		w := s.do("POST", home+"/authorize/joe@example.com")
		if w.Code != http.StatusConflict || w.Header().Get("Set-Cookie") != "" || a.deviceAuths != 0 {
			t.Errorf("POST: %d, %d device codes requested", w.Code, a.deviceAuths)
		}
		assertContains(t, w.Body.String(), "This account is disabled")
	}
}

// newPatternAccounts returns n working accounts of a pattern.
func newPatternAccounts(pattern string, n int) []*fakeAccount {
	var all []*fakeAccount
	for i := range n {
		a := newAutomatic(fmt.Sprintf("box%04d%s", i, strings.TrimPrefix(pattern, "*")), "client_credentials")
		a.pattern = pattern
		all = append(all, a)
	}
	return all
}

// listPage returns the page with the list and the names outside of patterns.
func listPage(t *testing.T, accounts ...*fakeAccount) (page string, names []string) {
	page = newSite(t, "", accounters(accounts)...).do("GET", home+"/").Body.String()
	for _, m := range regexp.MustCompile(`<h3><a href="[^"]*"><bdi>([^<]*)</bdi>`).FindAllStringSubmatch(page, -1) {
		names = append(names, m[1])
	}
	return page, names
}

// TestPatterns checks that the accounts of a pattern are one entry, except for those that
// need attention.
func TestPatterns(t *testing.T) {
	some, well, off := newPatternAccounts("*@example.com", 15), newPatternAccounts("*@example.org", 3), newPatternAccounts("*@example.net", 2)
	some[7].status = auth.Status{State: auth.Failing, Why: "token endpoint: HTTP status 503"}
	for _, a := range off {
		a.disabled = true
	}
	page, names := listPage(t, slices.Concat(well, some, off, []*fakeAccount{newAccount("never@example.com")})...)
	if !slices.Equal(names, []string{"never@example.com", "box0007@example.com"}) {
		t.Errorf("names outside of patterns: %v", names)
	}
	assertContains(t, page, "21 accounts: 17 working, 1 awaiting authorization, 1 failing, 2 disabled.", `Working <span class="count">17<`, "HTTP status 503",
		"<summary><bdi>*@example.com</bdi>, 14 of 15 mailboxes</summary>",
		"<summary><bdi>*@example.org</bdi>, 3 mailboxes, all working</summary>",
		"<summary><bdi>*@example.net</bdi>, 2 mailboxes</summary>",
		`<li><a href="/authorize/box0002@example.org"><bdi>box0002@example.org</bdi></a> <span class="state good">working</span></li>`)
	if strings.Contains(page, "not shown") {
		t.Errorf("the page omits accounts:\n%s", page)
	}
}

// TestLongList checks that a list of thousands of accounts starts with those that need
// attention and stays short.
func TestLongList(t *testing.T) {
	many, more := newPatternAccounts("*@example.com", 3000), newPatternAccounts("*@example.org", 500)
	for _, a := range many[1000:1300] {
		a.status = auth.Status{State: auth.Failing, Why: "token endpoint: HTTP status 503"}
	}
	for _, a := range more {
		a.pattern = "" // each account has a table of its own
	}
	page, names := listPage(t, slices.Concat(many, more, []*fakeAccount{newAccount("never@example.com")})...)
	if len(names) != 1+2*maxListed || names[0] != "never@example.com" || names[1] != "box1000@example.com" || names[1+maxListed] != "box0000@example.org" {
		t.Errorf("%d names: %v", len(names), names)
	}
	assertContains(t, page, "3501 accounts: 3200 working, 1 awaiting authorization, 300 failing.", `Working <span class="count">3200<`,
		"<bdi>*@example.com</bdi>, 2700 of 3000 mailboxes", ">2500 more accounts are not shown.", ">300 more accounts are not shown.", ">100 more accounts are not shown.", "<code>sudo -u xoauthd xoauthd status</code>")
	if strings.Contains(page, "Token expires") || len(page) > 200<<10 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

func TestSignInAs(t *testing.T) {
	a := newAccount("shared@example.com")
	a.hint = "ann@example.com"
	a.status = auth.Status{State: auth.Authorized, Identity: "Ann@example.com\n<b>"}
	s := newSite(t, "", a)
	assertContains(t, s.do("GET", home+"/authorize/shared@example.com").Body.String(),
		"Sign in there as <strong><bdi>ann@example.com</bdi></strong>, a user with access to the mailbox <bdi>shared@example.com</bdi>.",
		"<dt>Signed in as</dt><dd><bdi>Ann@example.com &lt;b&gt;</bdi></dd>")
	a.hint = "Shared@Example.com"
	if page := newSite(t, "", a).do("GET", home+"/authorize/shared@example.com").Body.String(); strings.Contains(page, "a user with access") {
		t.Errorf("the page mentions a delegate:\n%s", page)
	}
}
