package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/mailhost"
)

// withSMTP adds an SMTP server, which refuses all logins while refusing is true. The
// provider revokes grants one by one.
func (p *place) withSMTP(t *testing.T) (refusing *atomic.Bool) {
	t.Helper()
	authority, err := ca.New()
	must(t, err)
	certificate, err := authority.Issue("localhost")
	must(t, err)
	refusing = new(atomic.Bool)
	check := func(token string) (string, bool) {
		mailbox, ok := p.idp.User(token)
		return mailbox, ok && !refusing.Load()
	}
	host := mailhost.New(mailhost.Config{Certificate: certificate, Check: check, Mailboxes: []string{alice, bob}})
	smtp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go host.ServeSMTP(smtp)
	t.Cleanup(func() { host.Close() })

	file := filepath.Join(filepath.Dir(p.file), "ca.pem")
	authorities, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, append(authorities, authority.PEM()...), 0o600))
	p.change(t, "\n[provider.mine]\n", `
[[listener]]
protocol = "smtp"
address  = "127.0.0.1:0"

[provider.mine]
revocation = "grant"
`+fmt.Sprintf("smtp = { host = \"localhost\", port = %d, tls = \"starttls\" }\n", smtp.Addr().(*net.TCPAddr).Port))
	return refusing
}

// everywhereWithSMTP is everywhere with an SMTP server.
func everywhereWithSMTP(t *testing.T, f func(t *testing.T, p *place, refusing *atomic.Bool)) {
	for name, served := range map[string]bool{"with a daemon": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			refusing := p.withSMTP(t)
			if served {
				p.serve(t)
			}
			f(t, p, refusing)
		})
	}
}

// TestPartialImport: a grant that opens less replaces the present one only with --yes.
func TestPartialImport(t *testing.T) {
	everywhereWithSMTP(t, func(t *testing.T, p *place, refusing *atomic.Bool) {
		p.run(t, p.issue(t, alice), 0, "ok      SMTP login\nAlice@example.com is authorized", "grant", "import", alice)
		refusing.Store(true)
		p.run(t, p.issue(t, alice), 1, `failed  SMTP login at localhost
			Replace the present authorization of Alice@example.com?
			does not open SMTP, unlike the present one
			earlier authorization stays in use
			standard input is not a terminal: use --yes`, "grant", "import", alice)
		refusing.Store(false)
		p.run(t, "", p.well(), "authorized  until", "status")
		p.run(t, "", 1, "SMTP login at localhost", "check", alice)

		refusing.Store(true)
		p.run(t, p.issue(t, alice), 0, "failed  SMTP login\nAlice@example.com is authorized in part", "grant", "import", "--yes", alice)

		// A grant that opens as much as the present one replaces it.
		p.run(t, p.issue(t, alice), 0, "failed  SMTP login\nAlice@example.com is authorized in part", "grant", "import", alice)
	})
}

// TestImportRevokesNothing: an import does not revoke the replaced grant, which may be the
// same. An authorization by a person does.
func TestImportRevokesNothing(t *testing.T) {
	p := newPlace(t)
	p.withSMTP(t)
	for range 2 {
		p.run(t, p.issue(t, alice), 0, "Alice@example.com is authorized", "grant", "import", alice)
	}
	if n := p.revoked.Load(); n != 0 {
		t.Errorf("after the imports: %d revocations", n)
	}
	x := p.begin(t, "authorize", "--terminal", alice)
	link := strings.TrimSpace(x.shows(t, `http://\S+/authorize\?\S+\n`))
	x.shows(t, "Address: ")
	x.types(t, p.consent(t, link, alice, "allow"))
	if status, said := x.ends(); status != 0 {
		t.Errorf("status %d: %s", status, said)
	}
	if n := p.revoked.Load(); n != 1 {
		t.Errorf("after the authorization: %d revocations, want 1", n)
	}
}

// TestPartialTerminal: at a terminal, the command asks whether to replace the grant.
func TestPartialTerminal(t *testing.T) {
	everywhereWithSMTP(t, func(t *testing.T, p *place, refusing *atomic.Bool) {
		p.run(t, p.issue(t, alice), 0, "Alice@example.com is authorized", "grant", "import", alice)
		refusing.Store(true)
		for _, test := range []struct {
			answer string
			status int
			want   string
		}{
			{"", 1, "was not confirmed. Nothing was changed. Its earlier authorization stays in use."},
			{"no", 1, "was not confirmed"},
			{"yes", 0, "Alice@example.com is authorized in part"},
		} {
			x := p.begin(t, "authorize", "--terminal", alice)
			link := strings.TrimSpace(x.shows(t, `http://\S+/authorize\?\S+\n`))
			x.shows(t, "Address: ")
			x.types(t, p.consent(t, link, alice, "allow"))
			x.shows(t, `does not open SMTP, unlike the present one(?s:.)*Replace it\? \[y/N\] `)
			x.types(t, test.answer)
			if status, said := x.ends(); status != test.status || !strings.Contains(said, test.want) {
				t.Errorf("%q: status %d: %s", test.answer, status, said)
			}
		}
		// Two grants were not kept, and one was replaced.
		waitFor(t, func() bool { return p.revoked.Load() == 3 })
	})
}

// waitFor waits until so returns true.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// TestOtherMailboxAccepted uses a mail server that ignores the user name. xoauthd must not
// store the grant of another mailbox all the same.
func TestOtherMailboxAccepted(t *testing.T) {
	p := newPlace(t)
	p.change(t, `scopes            = ["mail", "offline_access"]`, `scopes            = ["mail", "offline_access", "openid", "email"]`)
	p.ignoring.Store(true)
	authorize := func(mailbox string) (int, string) {
		x := p.begin(t, "authorize", "--terminal", alice)
		link := strings.TrimSpace(x.shows(t, `http://\S+/authorize\?\S+\n`))
		x.shows(t, "Address: ")
		x.types(t, p.consent(t, link, mailbox, "allow"))
		return x.ends()
	}
	for _, test := range []struct {
		name, mailbox string
		status        int
		want          string
	}{
		{"another person", bob, 1, "You signed in as bob@example.com, but this account is Alice@example.com. A mailbox opened, but it may be that of bob@example.com"},
		{"the person", alice, 0, "Alice@example.com is authorized"},
	} {
		if status, said := authorize(test.mailbox); status != test.status || !strings.Contains(said, test.want) {
			t.Errorf("%s: status %d: %s", test.name, status, said)
		}
	}
	// login_hint allows another person.
	p.change(t, "[account.\"Alice@example.com\"]\n", "[account.\"Alice@example.com\"]\nlogin_hint = \"bob@example.com\"\n")
	if status, said := authorize(bob); status != 0 || !strings.Contains(said, "is authorized") {
		t.Errorf("a delegate: status %d: %s", status, said)
	}
}

// change replaces a part of the configuration.
func (p *place) change(t *testing.T, part, by string) {
	t.Helper()
	text, err := os.ReadFile(p.file)
	must(t, err)
	if !strings.Contains(string(text), part) {
		t.Fatalf("no %s in %s", part, text)
	}
	must(t, os.WriteFile(p.file, []byte(strings.Replace(string(text), part, by, 1)), 0o600))
}
