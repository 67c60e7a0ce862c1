package authorize

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

func TestNewReportsAllErrors(t *testing.T) {
	faulty := func(name string, change func(*fakeAccount)) *Account {
		a := newAccount(name)
		if change != nil {
			change(a)
		}
		return a.account()
	}
	_, err := New(Config{ListenAddresses: []string{"1180"}, Accounts: []*Account{
		faulty("", nil),
		faulty("..", nil),
		faulty("twice", nil),
		faulty("twice", nil),
		faulty("oob", func(a *fakeAccount) { a.redirect = "urn:ietf:wg:oauth:2.0:oob" }),
		faulty("hostless", func(a *fakeAccount) { a.redirect = "http:///callback" }),
		faulty("garbled", func(a *fakeAccount) { a.redirect = "http://local host/?secret" }),
		faulty("collides", func(a *fakeAccount) { a.redirect = "http://localhost/authorize/x" }),
		faulty("unclean", func(a *fakeAccount) { a.redirect = "http://localhost/a/../callback" }),
		faulty("nowhere", func(a *fakeAccount) { a.authURL = "javascript:alert(1)" }),
	}})
	if err == nil {
		t.Fatal("no error")
	}
	assertContains(t, err.Error(),
		"listen address: ",
		"account : this name cannot",
		"account ..: this name cannot",
		"account twice: this name is used twice",
		`account oob: redirect URL: "urn:ietf:wg:oauth:2.0:oob" must begin with`,
		`account hostless: redirect URL: "http:///callback" has no host`,
		`account garbled: redirect URL: "http://local host/" is not a URL`,
		"account collides: redirect URL: the path /authorize/x is already used by another page",
		"account unclean: redirect URL: the path /a/../callback has . or .. or // in it",
		`account nowhere: authorization URL: "javascript:alert(1)" must`,
	)
	if _, err := New(Config{ListenAddresses: []string{"127.0.0.1:1180"}, PublicURL: "mail.example.com"}); err == nil {
		t.Error("a public URL without a scheme is accepted")
	}
}

func TestPages(t *testing.T) {
	never := newAccount("never@example.com")
	good := newAccount("good@example.com")
	good.status = auth.Status{State: auth.Authorized, Obtained: time.Now().Add(-50 * time.Hour), Expiry: time.Now().Add(40*time.Minute + time.Second)}
	failing := newAccount("failing@example.com")
	failing.status = auth.Status{State: auth.Failing, Why: "token: dial\ntcp: refused", Expiry: time.Now().Add(-3 * time.Hour), Refreshed: time.Now().Add(-4 * time.Hour)}
	good.scopes = []string{"https://mail.google.com/", "https://example.com/other"}
	s := newSite(t, "", never, good, failing)

	for _, test := range []struct {
		name, method, target string
		status               int
		page                 []string
	}{
		{"the list", "GET", "/", 200, []string{"3 accounts: 1 working, 1 awaiting authorization, 1 failing.", `href="/authorize/never@example.com"`, "never authorized", "v1.2.3",
			"2 days ago", "in 40 minutes", "Token expired", "3 hours ago", "Token refreshed", "token: dial tcp: refused"}},
		{"an account", "GET", "/authorize/good@example.com", 200, []string{"Sign in there as <strong><bdi>good@example.com</bdi>", "Continue to Example Mail",
			"<code class=\"copy\">http://127.0.0.1:1180/callback</code>", "read, send and delete mail<br><code>https://mail.google.com/</code>", "<li><code>https://example.com/other"}},
		{"an unknown account", "GET", "/authorize/x", 404, []string{"Account not found"}},
		{"start for an unknown account", "POST", "/authorize/x", 404, []string{"Account not found"}},
		{"the style sheet", "GET", "/style.css", 200, []string{"prefers-color-scheme"}},
		{"the icon", "GET", "/icon.svg", 200, []string{"<svg"}},
		{"an unknown result", "GET", "/result/x", 404, []string{"This result is no longer available"}},
		{"an unknown path", "GET", "/robots.txt", 404, []string{"Page not found", `href="/"`}},
		{"an unclean path", "GET", "/a/../b//c", 404, []string{"Page not found"}},
		{"a path with another host", "GET", "//evil.example/", 404, []string{"Page not found"}},
		{"an unsupported method of the list", "DELETE", "/", 405, []string{"Method not allowed"}},
		{"an unsupported method of an account", "PUT", "/authorize/good@example.com", 405, []string{"Method not allowed"}},
		{"an unsupported method of the callback", "POST", "/callback", 405, []string{"Method not allowed"}},
		{"HEAD of the list", "HEAD", "/", 200, nil},
		{"HEAD of an account", "HEAD", "/authorize/good@example.com", 200, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := s.do(test.method, home+test.target)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			assertContains(t, w.Body.String(), test.page...)
			if test.status == 405 && w.Header().Get("Allow") == "" {
				t.Error("no Allow")
			}
			for header, want := range map[string]string{
				"X-Frame-Options":            "DENY",
				"X-Content-Type-Options":     "nosniff",
				"Cache-Control":              "no-store",
				"Cross-Origin-Opener-Policy": "same-origin",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s: %q", header, got)
				}
			}
			csp := w.Header().Get("Content-Security-Policy")
			assertContains(t, csp, "default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action ")
			if strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
				t.Errorf("Content-Security-Policy: %s", csp)
			}
			if strings.Contains(w.Body.String(), "<script") {
				t.Error("the page has a script")
			}
		})
	}
	// Two headers differ on the page with the form.
	h := s.do("GET", home+"/authorize/good@example.com").Header()
	assertContains(t, h.Get("Content-Security-Policy"), "form-action 'self' https:")
	assertContains(t, h.Get("Referrer-Policy"), "same-origin")
	assertContains(t, s.do("GET", home+"/").Header().Get("Referrer-Policy"), "no-referrer")
}

// hostileNames are account names that the pages must escape.
var hostileNames = []string{
	`"><script>alert(1)</script>@example.com`, "a/b@example.com", "a%2fb@example.com", "a//b", "../../result/x", "a?moved#b", "a+b c@example.com",
	"'onmouseover='alert(1)", "javascript:alert(1)", "{{.Base}}", "üser@пример.example", "\u202emoc.elpmaxe@eoj", "style.css", "a\r\nSet-Cookie: x=y",
}

func TestHostileNames(t *testing.T) {
	link := regexp.MustCompile(`<h3><a href="([^"]*)"`)
	action := regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	for _, name := range hostileNames {
		t.Run(name, func(t *testing.T) {
			a := newAccount(name)
			a.status.Why, a.scopes = name, []string{name}
			s := newSite(t, "", newAccount("other@example.com"), a)
			links := link.FindAllStringSubmatch(s.do("GET", home+"/").Body.String(), -1)
			if len(links) != 2 {
				t.Fatalf("links: %q", links)
			}
			w := s.do("GET", home+html.UnescapeString(links[1][1]))
			page := w.Body.String()
			if w.Code != 200 || !strings.Contains(page, "<bdi>"+escaped(name)+"</bdi>") {
				t.Fatalf("%s: %d: %s", links[1][1], w.Code, page)
			}
			if escaped(name) != name && strings.Contains(page, name) {
				t.Errorf("not escaped: %s", page)
			}
			m := action.FindStringSubmatch(page)
			if m == nil {
				t.Fatal("no form")
			}
			w = s.do("POST", home+html.UnescapeString(m[1]))
			if w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), a.authURL+"?") {
				t.Fatalf("POST: %d to %s", w.Code, w.Header().Get("Location"))
			}
			assertContains(t, s.begin(name).finish("code=1"), "<bdi>"+escaped(name)+" is authorized</bdi>")
			if strings.Count(s.log.String(), "\n") != 1 {
				t.Errorf("log: %s", s.log)
			}
		})
	}
}

// escaped returns s as html/template escapes it in text.
func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "+", "&#43;").Replace(s)
}

func TestCookie(t *testing.T) {
	for _, test := range []struct{ redirect, want string }{
		{"http://127.0.0.1:1180/callback", "xoauthd=…; Path=/; Max-Age=1800; HttpOnly; SameSite=Lax"},
		{"https://mail.example.com/callback", "__Host-xoauthd=…; Path=/; Max-Age=1800; HttpOnly; Secure; SameSite=Lax"},
	} {
		a := newAccount("joe@example.com")
		a.redirect = test.redirect
		s := newSite(t, "", a)
		u, _ := url.Parse(test.redirect)
		w := s.do("POST", "http://"+u.Host+"/authorize/joe@example.com")
		got := regexp.MustCompile(`=[A-Z2-7]{26};`).ReplaceAllString(w.Header().Get("Set-Cookie"), "=…;")
		if got != test.want {
			t.Errorf("Set-Cookie: %s\nwant %s", got, test.want)
		}
	}
}

func TestStatesDiffer(t *testing.T) {
	a := newAccount("joe@example.com")
	s := newSite(t, "", a)
	one, two := s.begin(a.name), s.begin(a.name)
	if one.state == two.state || one.cookie == two.cookie {
		t.Errorf("%+v %+v", one, two)
	}
}

func TestPublicURLWithAPath(t *testing.T) {
	a := newAccount("joe@example.com")
	a.redirect = "https://mail.example.com/oauth/callback"
	s := newSite(t, "https://mail.example.com/oauth/", a)
	host := "https://mail.example.com"
	assertContains(t, s.do("GET", host+"/oauth/").Body.String(), `href="/oauth/authorize/joe@example.com"`, `href="/oauth/style.css"`)
	w := s.do("POST", host+"/oauth/authorize/joe@example.com")
	to, err := w.Result().Location()
	if err != nil {
		t.Fatal(w.Code, err)
	}
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	w = s.do("GET", host+"/oauth/callback?code=1&state="+to.Query().Get("state"), "Cookie", cookie)
	if to := w.Header().Get("Location"); !strings.HasPrefix(to, "/oauth/result/") {
		t.Errorf("to %q", to)
	}
	if w := s.do("GET", host+"/"); w.Code != http.StatusNotFound {
		t.Errorf("outside the path: %d", w.Code)
	}
}

func TestRedirectURLWithoutAPath(t *testing.T) {
	for _, redirect := range []string{"http://localhost:1180", "http://localhost:1180/"} { // Microsoft's default
		a := newAccount("joe@example.com")
		a.redirect = redirect
		s := newSite(t, "", a)
		w := s.do("POST", "http://localhost:1180/authorize/joe@example.com")
		to, err := w.Result().Location()
		if err != nil {
			t.Fatal(w.Code, err)
		}
		cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
		w = s.do("GET", "http://localhost:1180/?code=1&state="+to.Query().Get("state"), "Cookie", cookie)
		if w.Code != http.StatusSeeOther || len(a.kept) != 1 {
			t.Errorf("%s: %d, kept %d", redirect, w.Code, len(a.kept))
		}
		assertContains(t, s.do("GET", "http://localhost:1180/").Body.String(), "<h1>Accounts</h1>")
	}
}

// TestManyAccounts checks that the time of New grows linearly with the number of accounts. It
// measures CPU time, which hardly depends on the load of the machine.
func TestManyAccounts(t *testing.T) {
	shortest := func(n int) time.Duration {
		c := Config{ListenAddresses: []string{"127.0.0.1:1180"}}
		for i := range n {
			c.Accounts = append(c.Accounts, newAccount(fmt.Sprintf("user%d@example.com", i)).account())
		}
		best := time.Hour
		for range 3 {
			runtime.GC()
			start := cpuTime(t)
			if _, err := New(c); err != nil {
				t.Fatal(err)
			}
			best = min(best, cpuTime(t)-start)
		}
		return best
	}
	few, many := shortest(1000), shortest(10_000)
	if many > 40*few { // a quadratic New takes 100 times as long
		t.Errorf("%v for 1,000 accounts, but %v for 10,000", few, many)
	}
}

// cpuTime returns the CPU time of this process.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
