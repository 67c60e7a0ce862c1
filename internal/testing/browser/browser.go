// Package browser starts a real browser, Debian's Chromium, for tests of pages.
package browser

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// Start starts Chromium with one tab, which chromedp drives through the context.
// Chromium ends with the test. Without Chromium, and with -short, Start skips the test,
// unless XOAUTHD_E2E=required forbids skipping.
func Start(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() && os.Getenv("XOAUTHD_E2E") != "required" {
		t.Skip("starting a browser takes seconds")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatal("chromium is not installed, and XOAUTHD_E2E=required")
		}
		t.Skip("chromium is not installed: the pages are not tried in a browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		// Nothing but this machine has a name.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1"),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}
