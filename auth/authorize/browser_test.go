package authorize

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
)

// TestBrowser authorizes an account in a real browser, from the list to the result, across
// three origins.
func TestBrowser(t *testing.T) {
	p := newProvider(t)
	a := newAccount(`"joe/<b>"@example.com`)
	b := startBrowser(t)
	site := p.serve(t, a)

	// Open the list at a host name that differs from that of the redirect URL.
	b.do(chromedp.Navigate(strings.Replace(site, "127.0.0.1", "localhost", 1)+"/"),
		chromedp.Click("ul.accounts a"), chromedp.WaitVisible("button"))
	b.at(site + "/authorize/%22joe%2F%3Cb%3E%22@example.com?moved")
	b.do(chromedp.Click("button"), chromedp.WaitVisible("#allow"))
	b.at(p.signIn.URL)
	b.do(chromedp.Click("#allow"), chromedp.WaitVisible("ol.steps"))
	b.at(site + "/result/")
	b.shows("h1", a.name+" is authorized")
	b.do(chromedp.Reload(), chromedp.WaitVisible("ol.steps"))
	b.shows("h1", a.name+" is authorized")
	if len(a.kept) != 1 {
		t.Errorf("kept %d grants, want 1", len(a.kept))
	}
	if cookies := eval[string](b, "document.cookie"); cookies != "" {
		t.Errorf("scripts can read the cookie: %s", cookies)
	}

	// The person refuses, then agrees permanently: the provider redirects the browser
	// back at once, in one chain of redirects from the form.
	b.do(chromedp.Navigate(site+"/"), chromedp.Click("ul.accounts a"), chromedp.Click("button"),
		chromedp.WaitVisible("#refuse"), chromedp.Click("#refuse"), chromedp.WaitVisible("ol.steps"))
	b.shows("li.bad .cause", "access_denied: the user <b>declined</b>")
	p.consented.Store("yes", true)
	b.do(chromedp.Click("a.button"), chromedp.Click("button"), chromedp.WaitVisible("ol.steps"))
	b.shows("h1", a.name+" is authorized")

	for _, entry := range b.history() {
		if strings.Contains(entry, "code=") {
			t.Errorf("the history has %s", entry)
		}
	}
	b.clean()
}

// TestPasteInBrowser pastes the address of a redirect URL that does not lead to the pages.
func TestPasteInBrowser(t *testing.T) {
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	p := newProvider(t)
	p.consented.Store("yes", true)
	a := newAccount("joe@example.com")
	a.redirect = elsewhere.URL + "/callback"
	b := startBrowser(t)
	site := p.serve(t, a)

	b.do(chromedp.Navigate(site + "/authorize/joe@example.com"))
	ended := b.tab(chromedp.Click("button"), a.redirect+"?state=")
	b.at(site + "/authorize/joe@example.com") // the first tab still shows the page
	b.do(chromedp.SendKeys("#address", "it does not work"), chromedp.Click(".second"), chromedp.WaitVisible("a.button"))
	b.shows("h1", "This is not the right address")
	b.do(chromedp.Click("a.button"), chromedp.SendKeys("#address", " "+ended+" "), chromedp.Click(".second"), chromedp.WaitVisible("ol.steps"))
	b.shows("h1", a.name+" is authorized")
	b.at(site + "/result/")
	for _, entry := range b.history() {
		if strings.Contains(entry, "code=") {
			t.Errorf("the history has %s", entry)
		}
	}
}

// TestDeviceInBrowser checks that the page reloads itself until the person has agreed.
func TestDeviceInBrowser(t *testing.T) {
	p := newProvider(t)
	a := newDevice("joe@example.com")
	a.device.URI, a.device.Complete = p.signIn.URL+"/device", p.signIn.URL+"/device?code=WDJB-MJHT"
	b := startBrowser(t)
	site := p.serve(t, a)

	b.do(chromedp.Navigate(site+"/authorize/joe@example.com"), chromedp.Click("button"), chromedp.WaitVisible(".usercode"))
	b.shows(".usercode", "WDJB-MJHT")
	b.tab(chromedp.Click("a.button"), a.device.Complete)
	a.answers <- nil
	b.do(chromedp.WaitVisible("ol.steps"))
	b.shows("h1", a.name+" is authorized")
}

// TestDecideInBrowser decides whether a grant with less access replaces the present one.
func TestDecideInBrowser(t *testing.T) {
	p := newProvider(t)
	p.consented.Store("yes", true)
	a := newPartial()
	b := startBrowser(t)
	site := p.serve(t, a)
	for button, want := range map[string]string{"keep": " was not authorized", "replace": " is authorized in part"} {
		b.do(chromedp.Navigate(site+"/authorize/joe@example.com"), chromedp.Click("button"), chromedp.WaitVisible("button[value="+button+"]"))
		b.shows("h1", "Replace the present authorization of "+a.name+"?")
		b.do(chromedp.Click("button[value="+button+"]"), chromedp.WaitVisible("a[href$='/authorize/joe@example.com']"))
		b.shows("h1", a.name+want)
	}
	if len(a.kept) != 1 || len(a.discarded) != 1 {
		t.Errorf("kept %v, discarded %v", a.kept, a.discarded)
	}
	b.clean()
}

// TestPagesInBrowser checks the width and the contrast of all pages at several widths and
// in both color schemes. If XOAUTHD_SCREENSHOTS is set, it writes screenshots to that
// directory.
func TestPagesInBrowser(t *testing.T) {
	p := newProvider(t)
	p.consented.Store("yes", true)
	accounts := sampleAccounts()
	b := startBrowser(t)
	paste, device, automatic := newAccount("shared@example.com"), newDevice("printer@example.com"), newAutomatic("box+scan@example.org", "client_credentials")
	paste.redirect, paste.hint = "http://localhost", "ann@example.com"
	bob := newAccount("carol@example.com")
	bob.identity, bob.trials = "bob@example.com", accounts[1].trials
	partial := newPartial()
	off, mailboxes := newAccount("old@example.com"), newPatternAccounts("*@example.net", 15)
	off.disabled = true
	mailboxes[3].status = auth.Status{State: auth.Failing, Why: "token endpoint: invalid_client", Hint: (&oauth.Error{Code: "invalid_client"}).Hint()}
	mailboxes[4].status = auth.Status{State: auth.Authorized}
	site := p.serve(t, slices.Concat(accounts, []*fakeAccount{paste, device, automatic, off, bob, partial}, mailboxes)...)
	page := func(name string) string { return site + "/authorize/" + url.PathEscape(name) }
	press := func(a *fakeAccount) []chromedp.Action[chromedp.Void] {
		return []chromedp.Action[chromedp.Void]{chromedp.Navigate(page(a.name)), chromedp.Click("button"), chromedp.WaitVisible("ol.steps")}
	}
	for _, view := range []struct {
		name  string
		steps []chromedp.Action[chromedp.Void]
	}{
		{"list", []chromedp.Action[chromedp.Void]{chromedp.Navigate(site + "/")}},
		{"list-open", []chromedp.Action[chromedp.Void]{chromedp.Click("summary"), chromedp.WaitVisible(".mailboxes")}},
		{"account-disabled", []chromedp.Action[chromedp.Void]{chromedp.Navigate(page(off.name))}},
		{"account", []chromedp.Action[chromedp.Void]{chromedp.Navigate(page(accounts[1].name))}},
		{"account-hostile", []chromedp.Action[chromedp.Void]{chromedp.Navigate(page(accounts[3].name))}},
		{"account-paste", []chromedp.Action[chromedp.Void]{chromedp.Navigate(page(paste.name))}},
		{"account-device", []chromedp.Action[chromedp.Void]{chromedp.Navigate(page(device.name))}},
		{"account-automatic", []chromedp.Action[chromedp.Void]{chromedp.Navigate(page(automatic.name))}},
		{"code", []chromedp.Action[chromedp.Void]{chromedp.Navigate(page(device.name)), chromedp.Click("button"), chromedp.WaitVisible(".usercode")}},
		{"result-authorized", press(accounts[0])},
		{"result-warning", press(accounts[2])},
		{"result-refused", press(accounts[1])},
		{"result-other-identity", press(bob)},
		{"confirm", press(partial)},
		{"message", []chromedp.Action[chromedp.Void]{chromedp.Navigate(site + "/result/x")}},
	} {
		b.do(view.steps...)
		for _, width := range []int64{1280, 390, 320} {
			for _, scheme := range []string{"light", "dark"} {
				name := fmt.Sprintf("%s-%d-%s", view.name, width, scheme)
				b.look(width, scheme, name)
				if over := eval[int64](b, "document.documentElement.scrollWidth - window.innerWidth"); over > 0 {
					t.Errorf("%s is %d pixels too wide", name, over)
				}
				if lowest := eval[float64](b, contrast); lowest < 4.5 {
					t.Errorf("%s has a text with a contrast of %.2f; WCAG requires 4.5", name, lowest)
				}
			}
		}
	}
}

// sampleAccounts returns accounts in every state and with every kind of result.
func sampleAccounts() []*fakeAccount {
	now := time.Now()
	good, never, failing, hostile := newAccount("alice@example.com"), newAccount("scanner@example.com"), newAccount("billing@example.org"),
		newAccount(`"><script>alert(1)</script> a/b%2f `+strings.Repeat("verylong", 12)+"@example.com")
	good.status = auth.Status{State: auth.Authorized, Obtained: now.Add(-9 * 24 * time.Hour), Refreshed: now.Add(-18 * time.Minute), Expiry: now.Add(42 * time.Minute)}
	good.scopes = []string{"https://mail.google.com/"}
	never.status = auth.Status{State: auth.NeedsAuthorization, Why: "never authorized"}
	never.scopes = []string{"https://outlook.office.com/IMAP.AccessAsUser.All", "https://outlook.office.com/SMTP.Send", "offline_access"}
	never.trials[0].Err = errRefused
	never.trials[1].Err = errors.New("AUTH XOAUTH2: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant")
	never.trials[1].Hint = "An administrator has to allow SMTP AUTH for this mailbox: Set-CASMailbox -SmtpClientAuthenticationDisabled $false."
	failing.status = auth.Status{State: auth.Failing, Why: "token: the provider answered 503 Service Unavailable", Obtained: now.Add(-80 * 24 * time.Hour), Expiry: now.Add(-20 * time.Minute)}
	failing.trials[1] = never.trials[1]
	return []*fakeAccount{good, never, failing, hostile}
}

// contrast is a script that returns the lowest contrast between a text and its background
// (WCAG 2.2 section 1.4.3).
const contrast = `(() => {
	const rgba = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
	const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const behind = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255]; };
	let worst = 21;
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue;
		const a = light(rgba(getComputedStyle(e).color)), b = light(behind(e));
		worst = Math.min(worst, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
	}
	return worst;
})()`
