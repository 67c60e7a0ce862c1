package authorize

import (
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/xoauthd/xoauthd/auth"
)

var update = flag.Bool("update", false, "take the screenshot of the documents again")

// TestScreenshot checks the screenshot in README.md. With -update, it takes it again.
func TestScreenshot(t *testing.T) {
	const width, height = 800, 900
	file := filepath.Join("..", "..", "docs", "images", "accounts.png")
	if *update {
		p := newProvider(t)
		b := startBrowser(t)
		site := p.serve(t, screenshotAccounts()...)
		b.do(chromedp.EmulateViewport(width, height), chromedp.Navigate(site+"/"))
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c, err := png.DecodeConfig(f); err != nil || c.Width != width {
		t.Errorf("docs/images/accounts.png: width %d, %v; take it again with -update", c.Width, err)
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), `"docs/images/accounts.png"`) {
		t.Error("README.md does not show docs/images/accounts.png")
	}
}

// screenshotAccounts returns accounts in the most frequent states.
func screenshotAccounts() []*fakeAccount {
	now := time.Now()
	const google, microsoft = "Google", "Microsoft 365"
	scanner, billing := newAccount("scanner@example.com"), newAccount("billing@example.org")
	scanner.title, billing.title = microsoft, microsoft
	scanner.status = auth.Status{State: auth.NeedsAuthorization, Why: "never authorized"}
	billing.status = auth.Status{
		State: auth.Failing, Obtained: now.Add(-80 * 24 * time.Hour), Expiry: now.Add(50 * time.Minute),
		Why:  "SMTP: 535 5.7.139 SmtpClientAuthentication is disabled for the Tenant",
		Hint: "An administrator has to allow SMTP AUTH for this mailbox: Set-CASMailbox -SmtpClientAuthenticationDisabled $false.",
	}
	alice, monitoring := newAccount("alice@example.com"), newAccount("monitoring@example.com")
	alice.title, monitoring.title = google, google
	alice.status = auth.Status{State: auth.Authorized, Obtained: now.Add(-9 * 24 * time.Hour), Refreshed: now.Add(-18 * time.Minute), Expiry: now.Add(42 * time.Minute)}
	monitoring.status = auth.Status{State: auth.Authorized, Obtained: now.Add(-2 * 24 * time.Hour)}
	all := []*fakeAccount{scanner, billing, alice, monitoring}
	for _, a := range newPatternAccounts("*@example.net", 12) {
		a.title = microsoft
		all = append(all, a)
	}
	return all
}
