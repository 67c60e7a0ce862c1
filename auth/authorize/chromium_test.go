package authorize

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	headless "github.com/xoauthd/xoauthd/internal/testing/browser"
)

// A provider is a minimal authorization endpoint. Like some large providers, it redirects
// the browser to another origin for the sign-in.
type provider struct {
	front, signIn *httptest.Server
	consented     sync.Map
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	p.signIn = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		back := q.Get("redirect_uri") + "?state=" + url.QueryEscape(q.Get("state"))
		if _, ok := p.consented.Load("yes"); ok {
			http.Redirect(w, r, back+"&code=c0de", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><link rel="icon" href="data:,"><a id=allow href="%s">Allow</a> <a id=refuse href="%s">Refuse</a>`,
			back+"&code=c0de", back+"&error=access_denied&error_description="+url.QueryEscape("the user <b>declined</b>"))
	}))
	t.Cleanup(p.signIn.Close)
	p.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, p.signIn.URL+"/?"+r.URL.RawQuery, http.StatusFound)
	}))
	t.Cleanup(p.front.Close)
	return p
}

// serve starts the pages for accounts at p, which is another site for the browser, and
// returns their URL. It sets the redirect URL of each account to the pages, unless the
// test has set one.
func (p *provider) serve(t *testing.T, accounts ...*fakeAccount) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	address := s.Listener.Addr().String()
	var all []*Account
	for _, a := range accounts {
		if a.redirect == home+"/callback" {
			a.redirect = "http://" + address + "/callback"
		}
		a.authURL = strings.Replace(p.front.URL, "127.0.0.1", "localhost", 1) + "/authorize"
		all = append(all, a.account())
	}
	var err error
	s.Config.Handler, err = New(Config{Accounts: all, ListenAddresses: []string{address}, Version: "v1.2.3", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// A browser is Chromium with one tab.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	console  []string
	requests []string
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{t: t, ctx: headless.Start(t)}
	b.listen()
	return b
}

// listen records the requests and the console messages of the tab.
func (b *browser) listen() {
	messages := chromedp.Console(b.ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.console = append(b.console, m.String())
			b.mu.Unlock()
		}
	}()
	err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok {
			b.mu.Lock()
			b.requests = append(b.requests, e.Request.URL)
			b.mu.Unlock()
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// do runs steps with a common timeout of 30 seconds.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	for i, step := range steps {
		if err := chromedp.Do(ctx, step); err != nil {
			where, _ := chromedp.Run(b.ctx, chromedp.Location())
			b.mu.Lock()
			defer b.mu.Unlock()
			b.t.Fatalf("step %d, at %s: %v; console: %q", i+1, where, err, b.console)
		}
	}
}

// eval returns the value of a script in the page.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// at fails the test if the address of the page does not begin with prefix.
func (b *browser) at(prefix string) {
	b.t.Helper()
	if where := eval[string](b, "location.href"); !strings.HasPrefix(where, prefix) {
		b.t.Errorf("at %s, want %s", where, prefix)
	}
}

// shows fails the test if the text of the element is not want.
func (b *browser) shows(selector, want string) {
	b.t.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.TextContent(selector))
	if err != nil || got != want {
		b.t.Errorf("%s: %q, %v; want %q", selector, got, err, want)
	}
}

// tab returns the address of the tab that click opens, once that address begins with
// prefix.
func (b *browser) tab(click chromedp.Action[chromedp.Void], prefix string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	opened := make(chan target.Info, 1)
	chromedp.WaitNewTarget(ctx, func(i *target.Info) bool {
		if !strings.HasPrefix(i.URL, prefix) {
			return false
		}
		opened <- *i
		return true
	})
	b.do(click)
	select {
	case i := <-opened:
		if i.CanAccessOpener {
			b.t.Error("the tab has access to its opener")
		}
		return i.URL
	case <-ctx.Done():
		b.t.Fatalf("no tab opened %s", prefix)
		return ""
	}
}

// history returns the addresses in the history of the tab.
func (b *browser) history() []string {
	b.t.Helper()
	h, err := chromedp.Run(b.ctx, chromedp.NavigationEntries())
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, e := range h.Entries {
		all = append(all, e.URL)
	}
	return all
}

// clean fails the test if the console has messages, such as violations of the policy, or
// if the browser has sent requests beyond this machine.
func (b *browser) clean() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.console) > 0 {
		b.t.Errorf("console: %q", b.console)
	}
	seen := 0
	for _, r := range b.requests {
		switch u, _ := url.Parse(r); {
		case u.Hostname() == "127.0.0.1", u.Hostname() == "localhost":
			seen++
		case u.Scheme != "data":
			b.t.Errorf("request for %s", r)
		}
	}
	if seen < 10 {
		b.t.Errorf("only %d requests were seen", seen)
	}
}

// look shows the page with a width and a color scheme, and takes a screenshot if
// XOAUTHD_SCREENSHOTS is set.
func (b *browser) look(width int64, scheme, name string) {
	b.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(width, 800))
	dir := os.Getenv("XOAUTHD_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
