package authorize

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
)

// full is the access of a grant for IMAP and SMTP.
var full = auth.Access{Usable: true, Known: true, Protocols: []string{"imap", "smtp"}}

// newPartial returns an account with such a grant. New grants do not open SMTP.
func newPartial() *fakeAccount {
	a := newAccount("joe@example.com")
	a.access, a.status = full, auth.Status{State: auth.Authorized}
	a.trials[1].Err = errRefused
	return a
}

func TestLostAccess(t *testing.T) {
	imap, smtp := Trial{Protocol: "IMAP"}, Trial{Protocol: "SMTP"}
	refused, down := Trial{Protocol: "SMTP", Err: errRefused}, Trial{Protocol: "SMTP", Err: errDialing}
	scoped := full
	scoped.Scopes = []string{"mail", "send", "openid"}
	onlyIMAP := auth.Access{Usable: true, Known: true, Protocols: []string{"imap"}}
	for _, test := range []struct {
		name    string
		present auth.Access
		trials  []Trial
		scope   string
		want    string
	}{
		{"all logins succeed", full, []Trial{imap, smtp}, "", ""},
		{"SMTP is refused", full, []Trial{imap, refused}, "", "does not open SMTP"},
		{"SMTP could not be tried", full, []Trial{imap, down}, "", "does not open SMTP"},
		{"SMTP was refused before, too", onlyIMAP, []Trial{imap, refused}, "", ""},
		{"SMTP opens for the first time", onlyIMAP, []Trial{imap, smtp}, "", ""},
		{"SMTP has no listener anymore", full, []Trial{imap}, "", ""},
		{"access of the present grant is unknown", auth.Access{Usable: true}, []Trial{imap, refused}, "", "does not open SMTP"},
		{"present grant is unusable", auth.Access{Known: true, Protocols: full.Protocols}, []Trial{imap, refused}, "", ""},
		{"no present grant", auth.Access{}, []Trial{imap, refused}, "", ""},
		{"the same scopes", scoped, []Trial{imap, smtp}, "openid send mail", ""},
		{"a missing scope", scoped, []Trial{imap, smtp}, "mail openid", "lacks the scope send"},
		{"a missing scope that is no longer requested", scoped, []Trial{imap, smtp}, "mail send", ""},
		{"new scopes are unknown", scoped, []Trial{imap, smtp}, "", ""},
		{"missing protocol and scope", scoped, []Trial{imap, refused}, "mail", "does not open SMTP and lacks the scope send"},
	} {
		if got := lostAccess(oauth.Grant{Scope: test.scope}, test.present, test.trials, []string{"mail", "send"}); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestPartialGrant checks that a grant with less access replaces the present one only after
// a confirmation from the same browser.
func TestPartialGrant(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		kept         bool
		log          string
		page         []string
	}{
		{"replace", "replace", true, `level=WARN msg=authorization account=joe@example.com result=authorized client=192.0.2.1:1234 error="SMTP login`,
			[]string{"joe@example.com is authorized in part", "SMTP login at smtp.example.com:587", ">Saving<"}},
		{"keep", "keep", false, `level=WARN msg=authorization account=joe@example.com result="not confirmed" client=192.0.2.1:1234`,
			[]string{"was not authorized", "was not confirmed", "Its earlier authorization stays in use."}},
		{"no answer", "", false, `result="not confirmed"`, []string{"was not confirmed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newPartial()
			v := newSite(t, "", a).begin(a.name)
			to := v.back("code=c0de").Header().Get("Location")
			w := v.do("GET", home+to, "Cookie", v.cookie)
			assertContains(t, w.Body.String(), "Replace the present authorization of joe@example.com?", "The new authorization does not open SMTP, unlike the present one.",
				"Its earlier authorization stays in use.", "invalid credentials", `<form method="post" action="`+to+`"`)
			assertContains(t, w.Header().Get("Content-Security-Policy"), "form-action 'self'")
			if got := w.Header().Get("Referrer-Policy"); got != "same-origin" {
				t.Errorf("Referrer-Policy: %s", got)
			}
			assertContains(t, v.log.String(), `level=WARN msg=authorization account=joe@example.com result="confirmation needed"`)

			form := url.Values{"answer": {"replace"}}
			for name, send := range map[string]func() int{
				"another site":     func() int { return v.post(to, form, "Cookie", v.cookie, "Sec-Fetch-Site", "cross-site").Code },
				"another origin":   func() int { return v.post(to, form, "Cookie", v.cookie, "Origin", "https://evil.example").Code },
				"another browser":  func() int { return v.post(to, form).Code },
				"GET request":      func() int { return v.do("GET", home+to+"?answer=replace", "Cookie", v.cookie).Code - 200 + 404 },
				"another's result": func() int { return v.post("/result/x", form, "Cookie", v.cookie).Code },
			} {
				if status := send(); status != http.StatusForbidden && status != http.StatusNotFound || len(a.kept)+len(a.discarded) > 0 {
					t.Errorf("%s: %d, kept %v, discarded %v", name, status, a.kept, a.discarded)
				}
			}

			w = v.post(to, url.Values{"answer": {test.answer}}, "Cookie", v.cookie)
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != to {
				t.Fatalf("the decision: %d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
			}
			assertContains(t, v.do("GET", home+to, "Cookie", v.cookie).Body.String(), test.page...)
			assertContains(t, v.log.String(), test.log)
			if status, page := statusAndBody(v.post(to, form, "Cookie", v.cookie)); status != http.StatusConflict || !strings.Contains(page, "No decision needed") {
				t.Errorf("a second decision: %d: %s", status, page)
			}
			if got := len(a.kept) == 1; got != test.kept || (len(a.discarded) == 1) == test.kept {
				t.Errorf("kept %v, discarded %v", a.kept, a.discarded)
			}
			if strings.Contains(v.log.String(), "token-for-") {
				t.Errorf("log: %s", v.log)
			}
		})
	}
}

// TestPartialGrantExpires checks that a grant is discarded if the person does not decide.
func TestPartialGrantExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newPartial()
		v := newSite(t, "", a).begin(a.name)
		to := v.back("code=c0de").Header().Get("Location")
		time.Sleep(pendingLifetime)
		assertContains(t, v.do("GET", home+to, "Cookie", v.cookie).Body.String(), "Replace the present authorization")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(a.kept) > 0 || len(a.discarded) != 1 {
			t.Errorf("kept %v, discarded %v", a.kept, a.discarded)
		}
		if w := v.post(to, url.Values{"answer": {"replace"}}, "Cookie", v.cookie); w.Code != http.StatusNotFound {
			t.Errorf("a late decision: %d", w.Code)
		}
	})
}

// TestReplacedMeanwhile checks that a confirmation applies only to the grant that was
// present at the comparison.
func TestReplacedMeanwhile(t *testing.T) {
	a := newPartial()
	o := Adopt(t.Context(), a.account(), a.grant("x"))
	if o.Candidate == nil || o.Kind != confirmationNeeded || o.OK {
		t.Fatalf("%+v", o)
	}
	a.replaced = []auth.Access{full}
	if o = o.Candidate.Confirm(); o.OK || o.Kind != superseded || !strings.Contains(o.Lead, "in the meantime") {
		t.Errorf("%+v", o)
	}

	// If another grant replaces the present one before Keep, xoauthd compares again.
	a = newPartial()
	a.access, a.replaced = auth.Access{}, []auth.Access{full}
	if o := Adopt(t.Context(), a.account(), a.grant("x")); o.Candidate == nil {
		t.Errorf("a grant with less access replaced a new full grant: %+v", o)
	}
	a.access, a.replaced, a.trials[1].Err = auth.Access{}, []auth.Access{full}, nil
	if o := Adopt(t.Context(), a.account(), a.grant("x")); !o.OK {
		t.Errorf("%+v", o)
	}
}

// TestPartialDevice is TestPartialGrant for the device flow.
func TestPartialDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice("joe@example.com")
		a.access, a.trials[1].Err = full, errRefused
		v := newSite(t, "", a).ask(a.name)
		a.answers <- nil
		assertContains(t, v.page(), "Replace the present authorization of joe@example.com?")
		v.post(v.result, url.Values{"answer": {"replace"}}, "Cookie", v.cookie)
		assertContains(t, v.page(), "joe@example.com is authorized in part")
		if len(a.kept) != 1 {
			t.Errorf("kept %v", a.kept)
		}
	})
}

// TestImportedIsNotDiscarded checks that an imported grant is not revoked: the program
// that it came from may still use it.
func TestImportedIsNotDiscarded(t *testing.T) {
	a := newPartial()
	Adopt(t.Context(), a.account(), a.grant("x")).Candidate.Reject()
	a.trials[0].Err = errRefused
	if o := Adopt(t.Context(), a.account(), a.grant("x")); o.Kind != noMailbox || len(a.discarded) > 0 {
		t.Errorf("%+v, discarded %v", o, a.discarded)
	}
	a.answers = make(chan error, 1)
	a.answers <- nil
	if o := AwaitDevice(t.Context(), a.account(), &oauth.Device{UserCode: "x"}); o.Kind != noMailbox || len(a.discarded) != 1 {
		t.Errorf("%+v, discarded %v", o, a.discarded)
	}
}
