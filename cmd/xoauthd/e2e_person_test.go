package main_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// get fetches a page of the daemon.
func (d *daemon) get(t *testing.T, port int, path string) (status int, page string) {
	t.Helper()
	host := fmt.Sprintf("http://localhost:%d", port)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(host + path)
	must(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	return r.StatusCode, string(b)
}

// link returns the link that `xoauthd authorize` prints.
func (d *daemon) link(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(d.run(t, command{}, d.program, "authorize", "--config", d.file, d.user))
}

// authorize authorizes the account in a browser, and checks the last page.
func (d *daemon) authorize(t *testing.T) {
	t.Helper()
	contains(t, "the last page", d.authorizeAs(t, d.user), `<p class="verdict good">Done</p>`)
	if needs := d.metric(t, needsAuthorization(d.user)); needs != 0 {
		t.Fatalf("needs authorization: %v", needs)
	}
}

// authorizeAs authorizes in a browser, with mailbox chosen at the provider, and returns
// the last page.
func (d *daemon) authorizeAs(t *testing.T, mailbox string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	browser := &http.Client{
		Timeout:   patience,
		Jar:       jar,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	link := d.link(t)
	page := d.visit(t, browser, http.MethodGet, link, nil)
	page = d.visit(t, browser, http.MethodPost, resolve(t, link, attribute(t, page, "form", "action")), nil)
	return d.visit(t, browser, http.MethodPost, d.provider.issuer+"/login", url.Values{
		"id":      {attribute(t, page, `input type="hidden" name="id"`, "value")},
		"mailbox": {mailbox},
		"answer":  {"allow"},
	})
}

// needsAuthorization is the metric of accounts that need authorization.
func needsAuthorization(user string) string {
	return fmt.Sprintf("xoauthd_account_needs_authorization{account=%q}", user)
}

// visit sends a request, follows redirects and returns the last page, which it stores for
// the search for secrets.
func (d *daemon) visit(t *testing.T, browser *http.Client, method, address string, form url.Values) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := browser.Do(r)
	must(t, err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", method, address, answer.Status, page)
	}
	if answer.Request.URL.Host == fmt.Sprintf("localhost:%d", d.web) {
		d.said[answer.Request.URL.String()] += string(page)
	}
	return string(page)
}

// attribute returns the value of an attribute of the first matching element.
func attribute(t *testing.T, page, element, name string) string {
	t.Helper()
	m := regexp.MustCompile(`<` + element + `(?: [^>]*)? ` + name + `="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no %s of <%s> in %s", name, element, shorten(page))
	}
	return html.UnescapeString(m[1])
}

// resolve returns the absolute URL of a link on a page.
func resolve(t *testing.T, page, link string) string {
	t.Helper()
	u, err := url.Parse(page)
	must(t, err)
	u, err = u.Parse(link)
	must(t, err)
	return u.String()
}
