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
)

// unattended is an account that gets its tokens by itself.
func unattended(name, flow string) *fakeAccount {
	a := newAccount(name)
	a.flow, a.unattended, a.redirect, a.authURL = flow, true, "", ""
	a.status = auth.Status{State: auth.Authorized, Obtained: time.Now().Add(-time.Hour), Expiry: time.Now().Add(time.Hour)}
	return a
}

// TestUnattended is about accounts that no person authorizes: nothing on their
// pages is about one.
func TestUnattended(t *testing.T) {
	for flow, words := range map[string]string{
		"client_credentials": "credentials of its registration at Example Mail",
		"service_account":    "key of a service account",
		"password":           "the user name and the password of the mailbox",
		"command":            "a command of the configuration",
		"app_password":       "There is no OAuth",
		"of_tomorrow":        "by the flow of_tomorrow",
	} {
		t.Run(flow, func(t *testing.T) {
			a := unattended("joe@example.com", flow)
			s := newSite(t, "", a)
			w := s.do("GET", home+"/authorize/joe@example.com")
			page := w.Body.String()
			wants(t, page, words, "Nobody has to authorize", "<code class=\"copy\">sudo xoauthd check joe@example.com</code>", "Token runs out", flowOf(a).Short)
			wants(t, w.Header().Get("Content-Security-Policy"), "form-action 'none'")
			for _, not := range []string{"<form", "<button", "redirect URI", "Last consent", "is asked to let"} {
				if strings.Contains(page, not) {
					t.Errorf("%q is on the page:\n%s", not, page)
				}
			}
			wants(t, s.do("GET", home+"/").Body.String(), "Example Mail · "+flowOf(a).Short)
			for _, path := range []string{"/authorize/joe@example.com", "/authorize/joe@example.com?moved"} {
				w = s.do("POST", home+path)
				if w.Code != http.StatusConflict || w.Header().Get("Set-Cookie") != "" {
					t.Errorf("POST: %d", w.Code)
				}
				wants(t, w.Body.String(), "Nobody has to authorize this account")
			}
		})
	}
}

// TestState: an account that no person authorizes is not called authorized, and
// before it has got a token nobody knows that it works.
func TestState(t *testing.T) {
	fresh, used, ended, broken := unattended("a@example.com", "client_credentials"), unattended("a@example.com", "password"), unattended("a@example.com", "command"), unattended("a@example.com", "command")
	fresh.status = auth.Status{State: auth.Authorized}
	ended.status = auth.Status{State: auth.Authorized, Refreshed: time.Now().Add(-time.Hour)}
	broken.status = auth.Status{State: auth.Failing, Why: "exit status 1"}
	attended, never := newAccount("a@example.com"), newAccount("a@example.com")
	attended.status = auth.Status{State: auth.Authorized}
	off := newAccount("a@example.com")
	off.disabled, off.status = true, auth.Status{State: auth.NeedsAuthorization, Why: "never authorized", Hint: "Do."}
	for _, test := range []struct {
		a             *fakeAccount
		shown, counts string
	}{
		{fresh, `plain">ready<`, "1 account, all well."},
		{used, `good">working<`, "1 account, all well."},
		{ended, `good">working<`, "1 account, all well."},
		{broken, `warn">failing<`, "1 failing for now."},
		{attended, `good">authorized<`, "1 account, all well."},
		{never, `bad">needs authorization<`, "0 in order, 1 to be authorized."},
		{off, `plain">disabled<`, "1 account: 0 in order, 1 disabled."},
	} {
		s := newSite(t, "", test.a)
		wants(t, s.do("GET", home+"/").Body.String(), test.shown, test.counts)
		wants(t, s.do("GET", home+"/authorize/a@example.com").Body.String(), test.shown)
	}
}

// TestDisabled: nobody is asked to authorize an account that is not used.
func TestDisabled(t *testing.T) {
	for _, a := range []*fakeAccount{newAccount("joe@example.com"), newDevice("joe@example.com"), unattended("joe@example.com", "command")} {
		a.disabled = true
		s := newSite(t, "", a)
		for _, path := range []string{"/", "/authorize/joe@example.com"} {
			page := s.do("GET", home+path).Body.String()
			wants(t, page, "disabled")
			for _, not := range []string{"<form", "<button", "redirect URI", "never authorized", "Nobody has to"} {
				if strings.Contains(page, not) {
					t.Errorf("%q is on the page:\n%s", not, page)
				}
			}
		}
		w := s.do("POST", home+"/authorize/joe@example.com")
		if w.Code != http.StatusConflict || w.Header().Get("Set-Cookie") != "" || a.asked != 0 {
			t.Errorf("POST: %d, asked %d times", w.Code, a.asked)
		}
		wants(t, w.Body.String(), "This account is disabled")
	}
}

// TestListOfMany: in a list of hundreds, what somebody has to see to comes
// first, and the rest is short.
func TestListOfMany(t *testing.T) {
	var all []Account
	for i := range 300 {
		a := unattended(fmt.Sprintf("box%03d@example.com", i), "client_credentials")
		if i == 250 {
			a.status = auth.Status{State: auth.Failing, Why: "token endpoint: HTTP status 503"}
		}
		all = append(all, a)
	}
	all = append(all, newAccount("never@example.com"))
	page := newSite(t, "", all...).do("GET", home+"/").Body.String()
	names := regexp.MustCompile(`<h3><a href="[^"]*"><bdi>([^<]*)</bdi>`).FindAllStringSubmatch(page, -1)
	var got []string
	for _, m := range names {
		got = append(got, m[1])
	}
	if len(got) != 301 || !slices.Equal(got[:4], []string{"never@example.com", "box250@example.com", "box000@example.com", "box001@example.com"}) {
		t.Errorf("%d accounts, first %v", len(got), got[:min(4, len(got))])
	}
	wants(t, page, "301 accounts: 299 in order, 1 to be authorized, 1 failing for now.", `To be authorized <span class="count">1<`, `In order <span class="count">299<`, "HTTP status 503")
	if strings.Contains(page, "runs out") || len(page) > 100<<10 {
		t.Errorf("the list is long: %d bytes", len(page))
	}
}

func TestWhoSignsIn(t *testing.T) {
	a := newAccount("shared@example.com")
	a.hint = "ann@example.com"
	a.status = auth.Status{State: auth.Authorized, Identity: "Ann@example.com\n<b>"}
	s := newSite(t, "", a)
	wants(t, s.do("GET", home+"/authorize/shared@example.com").Body.String(),
		"Sign in there as <strong><bdi>ann@example.com</bdi></strong>, who may use the mailbox <bdi>shared@example.com</bdi>,",
		"<dt>Signed in as</dt><dd><bdi>Ann@example.com &lt;b&gt;</bdi></dd>")
	a.hint = "Shared@Example.com"
	if page := s.do("GET", home+"/authorize/shared@example.com").Body.String(); strings.Contains(page, "who may use") {
		t.Errorf("a delegate is spoken of:\n%s", page)
	}
}
