package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// issue returns a refresh token of a mailbox for another program.
func (p *place) issue(t *testing.T, mailbox string) string {
	t.Helper()
	_, refresh, _, err := p.idp.Issue(mailbox)
	must(t, err)
	return refresh
}

func TestGrant(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.run(t, "", 1, `needs authorization  none
			Alice@example.com: the account has never been authorized
			run xoauthd authorize Alice@example.com
			xoauthd: 1 of 1 account needs attention`, "status")

		p.run(t, p.issue(t, alice), 0, "ok      IMAP login at localhost\nAlice@example.com is authorized", "grant", "import", alice)
		p.run(t, "", p.well(), "authorized  until", "status", "ALICE@EXAMPLE.COM")

		// As a Windows editor saves it.
		p.run(t, "\ufeff"+p.issue(t, alice)+"\r\n", 0, "Alice@example.com is authorized", "grant", "import", alice)
		p.run(t, "\xff\xfea\x00", 1, "standard input is UTF-16 text; convert it to UTF-8", "grant", "import", alice)

		// Invalid tokens do not replace the present grant.
		p.run(t, "nonsense", 1, "mine issued no access token for this refresh token\ninvalid_grant\nclient_id \"xoauthd\"\nNothing was changed", "grant", "import", alice)
		p.run(t, p.issue(t, bob), 1, "failed  IMAP login at localhost\nwas not authorized\nearlier authorization stays in use\nissued another refresh token", "grant", "import", alice)
		p.run(t, "", p.well(), "", "status")
		p.run(t, "", 1, "configuration\naccess token\nIMAP login at localhost\nas Alice@example.com\n2 mailboxes\nIMAP listener", "check", alice)
		report := p.run(t, "", 1, "", "check", "--json", alice)
		if !strings.Contains(report, `"outcome": "ok"`) || strings.Contains(report, `"outcome": "skipped"`) {
			t.Errorf("the report is %s", report)
		}

		p.run(t, "", 1, "standard input is not a terminal: use --yes", "revoke", alice)
		p.run(t, "", 0, "has deleted the grant of Alice@example.com, and mine has revoked it\nuntil it is authorized again", "revoke", "--yes", alice)
		p.run(t, "", 1, "needs authorization\nAlice@example.com: the grant was revoked by "+peercred.UserName(uint32(os.Geteuid()))+" (uid ", "status")
		p.run(t, "", 0, "Alice@example.com has no grant", "revoke", "--yes", alice)
		p.run(t, "", 0, "Alice@example.com has no grant", "revoke", "--yes", "--local", alice)
	})
}

// TestUnreachable: import does not use the refresh token if it can reach no mail server.
func TestUnreachable(t *testing.T) {
	p := newPlace(t)
	text, err := os.ReadFile(p.file)
	must(t, err)
	must(t, os.WriteFile(p.file, regexp.MustCompile(`port = \d+`).ReplaceAll(text, []byte("port = 1")), 0o600))
	p.run(t, p.issue(t, alice), 1, `IMAP at localhost:1: connecting:
		check host and port
		Nothing was done with the refresh token, and nothing was changed`, "grant", "import", alice)
	if n := p.idp.TokenRequests(); n != 0 {
		t.Errorf("%d requests for tokens", n)
	}
}

// TestTerminal authorizes in a terminal. The browser does not reach the redirect URL, and
// the first pasted address is wrong.
func TestTerminal(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		for _, test := range []struct {
			name, mailbox, answer string
			status                int
			want                  string
		}{
			{"the wrong mailbox", bob, "allow", 1, "was not authorized"},
			{"denied", alice, "deny", 1, "Access was refused"},
			{"allowed", alice, "allow", 0, "Alice@example.com is authorized"},
		} {
			x := p.begin(t, "authorize", "--terminal", alice)
			link := x.shows(t, `http://\S+/authorize\?\S+\n`)
			x.shows(t, "wrong, register this one: "+redirect+"\n")
			x.shows(t, "Address: ")
			x.types(t, "http://localhost:1/callback?code=x")
			x.shows(t, "Invalid address: .*\nPaste .*: ")
			x.types(t, p.consent(t, strings.TrimSpace(link), test.mailbox, test.answer))
			if got, said := x.ends(); got != test.status || !strings.Contains(said, test.want) {
				t.Errorf("%s: status %d:\n%s", test.name, got, said)
			}
		}
	})
}

// TestCommandServesAPI: while one command does the work itself, others use its API, and do
// not take it for a daemon.
func TestCommandServesAPI(t *testing.T) {
	p := newPlace(t)
	p.change(t, "[provider.mine]\n", "[web]\naddress = \"127.0.0.1:19281\"\n\n[provider.mine]\n")
	x := p.begin(t, "authorize", "--terminal", alice)
	link := strings.TrimSpace(x.shows(t, `http://\S+/authorize\?\S+\n`))
	x.shows(t, "Address: ")
	p.run(t, "", 1, `"running": false`, "status", "--json")
	p.run(t, "", 1, "no daemon runs: start the daemon first", "authorize", alice)
	x.types(t, p.consent(t, link, alice, "allow"))
	if status, said := x.ends(); status != 0 {
		t.Errorf("status %d: %s", status, said)
	}
}

// A dialogue is a command with pipes instead of a terminal.
type dialogue struct {
	keys   *io.PipeWriter
	screen *io.PipeReader
	said   bytes.Buffer
	status chan int
}

// begin runs a command. The test must call ends.
func (p *place) begin(t *testing.T, args ...string) *dialogue {
	t.Helper()
	in, keys := io.Pipe()
	screen, out := io.Pipe()
	x := &dialogue{keys: keys, screen: screen, status: make(chan int, 1)}
	go func() {
		x.status <- run(t.Context(), append(args, "--config", p.file), in, out, out)
		in.Close() // what is typed then goes nowhere
		out.Close()
	}()
	return x
}

// shows waits until the output matches pattern, and returns the match.
func (x *dialogue) shows(t *testing.T, pattern string) string {
	t.Helper()
	for b := make([]byte, 1000); ; {
		if m := regexp.MustCompile(pattern).FindString(x.said.String()); m != "" {
			return m
		}
		n, err := x.screen.Read(b)
		x.said.Write(b[:n])
		if err != nil {
			t.Fatalf("no %s in %s", pattern, &x.said)
		}
	}
}

func (x *dialogue) types(t *testing.T, line string) {
	t.Helper()
	_, err := fmt.Fprintln(x.keys, line)
	must(t, err)
}

// ends waits for the end, and returns the exit status and the output.
func (x *dialogue) ends() (status int, said string) {
	io.Copy(&x.said, x.screen)
	return <-x.status, x.said.String()
}

// consent signs in at the provider as a browser does. It returns the last address.
func (p *place) consent(t *testing.T, link, mailbox, answer string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirect) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	r, err := browser.Get(link)
	must(t, err)
	page, err := io.ReadAll(r.Body)
	must(t, err)
	r.Body.Close()
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindSubmatch(page)
	if id == nil {
		t.Fatalf("no form in %s", page)
	}
	r, err = browser.PostForm(p.issuer+"/login", url.Values{"id": {string(id[1])}, "mailbox": {mailbox}, "answer": {answer}})
	must(t, err)
	r.Body.Close()
	return r.Header.Get("Location")
}

// TestGivenUp: Ctrl-D and Ctrl-C end an authorization.
func TestGivenUp(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.run(t, "", 1, "canceled; nothing was changed", "authorize", "--terminal", alice)

		ctx, interrupt := context.WithCancel(t.Context())
		in, person := io.Pipe()
		defer person.Close()
		screen, out := io.Pipe()
		var errs bytes.Buffer
		status := make(chan int, 1)
		go func() {
			status <- run(ctx, []string{"authorize", "--terminal", alice, "--config", p.file}, in, out, &errs)
		}()
		_, err := screen.Read(make([]byte, 1000))
		must(t, err)
		go io.Copy(io.Discard, screen)
		interrupt()
		if got := <-status; got != 1 || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("status %d: %s", got, &errs)
		}
	})
}

func TestDescribeRevocation(t *testing.T) {
	for _, test := range []struct {
		name       string
		revocation api.Revocation
		local      bool
		want       string
	}{
		{"never authorized", api.Revocation{Interactive: true, Revocable: true}, false, "alice@example.com has no grant: there was nothing to revoke."},
		{"never authorized, nor asked", api.Revocation{Interactive: true}, true, "alice@example.com has no grant: there was nothing to revoke."},
		{"revoked", api.Revocation{Interactive: true, Deleted: true, Revoked: true, Revocable: true}, false, "and Mail has revoked it"},
		{"nothing to revoke", api.Revocation{Interactive: true, Deleted: true, Revocable: true}, false, "Mail had nothing to revoke"},
		{"no endpoint", api.Revocation{Interactive: true, Deleted: true}, false, "Mail has no endpoint"},
		{"not asked", api.Revocation{Interactive: true, Deleted: true, Revocable: true}, true, "Mail was not asked"},
		{"of nobody", api.Revocation{Flow: "command", Deleted: true}, false, "deleted the access token of alice@example.com; the next login obtains one by the flow command"},
		{"of nobody, without a token", api.Revocation{Flow: "command"}, true, "xoauthd has no access token of alice@example.com; the next login obtains one"},
	} {
		test.revocation.Provider = "Mail"
		if got := describeRevocation(alice, test.revocation, test.local); !strings.Contains(got, test.want) {
			t.Errorf("%s: %s", test.name, got)
		}
	}
}

// TestDevice: the terminal shows the code, and the link that contains it.
func TestDevice(t *testing.T) {
	var out strings.Builder
	screen := &terminal{person: alice, out: &out}
	code := api.DeviceCode{URL: "https://example.com/device", Complete: "https://example.com/device?code=ABCD", Code: "ABCD", Expiry: time.Now()}
	if _, err := screen.handle(t.Context(), api.Event{Device: &code}); err != nil {
		t.Error(err)
	}
	for _, want := range []string{alice, "\nhttps://example.com/device?code=ABCD\n", "\nABCD\n", time.Now().Format("15:")} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &out)
		}
	}
	if _, err := screen.handle(t.Context(), api.Event{}); err == nil || !strings.Contains(err.Error(), "restart the daemon") {
		t.Errorf("an unknown event: %v", err)
	}
}

func TestRefreshToken(t *testing.T) {
	for _, test := range []struct{ name, text, want, err string }{
		{"bare", "1//0abc-DEF\n", "1//0abc-DEF", ""},
		{"JSON", ` {"refresh_token": "abc", "expiry": 1}`, "abc", ""},
		{"nothing", " \n", "", "no refresh token on standard input"},
		{"JSON without", `{"access_token": "abc"}`, "", "has no refresh_token"},
		{"JSON of another type", `{"refresh_token": 7}`, "", "with a string refresh_token"},
		{"half of JSON", `{"refresh_token": "abc`, "", "with a string refresh_token"},
		{"two lines", "abc\ndef\n", "", "more than a refresh token"},
		{"too long", strings.Repeat("x", maxInput+1), "", "no refresh token is that long"},
	} {
		got, err := refreshToken(test.text)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}
