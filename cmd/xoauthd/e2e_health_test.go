package main_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/api"
)

// smtpOff is the reply of Microsoft 365 where SMTP AUTH is disabled.
const smtpOff = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."

// testHealth checks that status, pages and metrics show the refusal of a mail server until
// a login succeeds, also after a restart and without a running daemon.
func testHealth(t *testing.T, e *env) {
	d := e.authorized(t)
	d.worksEverywhere(t)
	d.well(t)
	login := fmt.Sprintf(`xoauthd_account_last_login_timestamp_seconds{account="%s",protocol="smtp"}`, d.user)
	if at := d.metric(t, login); at == 0 {
		t.Error("there was no login")
	}

	e.postfix.stop(t)
	refusing := newRefuser(t, e)
	refused := func() {
		t.Helper()
		if r := curlSend(t, d, greeting); r.status == 0 || !strings.Contains(r.stderr, "454 4.7.1") ||
			!strings.Contains(r.stderr, "SmtpClientAuthentication is disabled") || strings.Contains(r.stderr, "5.7.139") {
			t.Errorf("exit status %d\n%s", r.status, shorten(r.stderr))
		}
	}
	refused()
	d.ill(t, "upstream refused (SMTP): "+smtpOff)
	d.restart(t)
	d.ill(t, "upstream refused (SMTP): "+smtpOff)
	if r := curlRead(t, d, ""); r.status != 0 {
		t.Errorf("IMAP: %d\n%s", r.status, shorten(r.stderr))
	}
	d.ill(t, "upstream refused (SMTP): "+smtpOff) // whatever another protocol says
	d.stop(t)
	if r := d.status(t); r.status != 1 || !strings.Contains(r.stdout, smtpOff) {
		t.Errorf("without a daemon, exit status %d\n%s", r.status, r.stdout)
	}
	d.start(t)

	// If the provider issues no other token, that is the cause to report.
	over := outage(t, e.provider)
	if r := curlSend(t, d, greeting); r.status == 0 || !strings.Contains(r.stderr, "454 4.4.3") {
		t.Errorf("with the provider down: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	d.ill(t, "upstream refused (SMTP): the mail server refuses the access token ("+smtpOff+"), and the provider gives no other: ")
	over()

	refusing.close()
	e.postfix.start(t)
	poll(t, "a login to succeed", func() bool { return curlSend(t, d, greeting).status == 0 })
	if r := d.status(t); r.status != 0 {
		t.Errorf("after a login: exit status %d\n%s", r.status, r.stdout)
	}
	d.restart(t) // so that the provider is asked at once
	poll(t, "the provider to be asked", func() bool { return !strings.Contains(d.status(t).stdout, "connection refused") })
	d.well(t)
}

// status runs xoauthd status.
func (d *daemon) status(t *testing.T, args ...string) result {
	t.Helper()
	return d.try(t, command{}, d.program, append([]string{"status", "--config", d.file}, args...)...)
}

// well checks that status, pages and metrics report no fault of the account.
func (d *daemon) well(t *testing.T) {
	t.Helper()
	if r := d.status(t); r.status != 0 || !strings.Contains(r.stdout, "  authorized  ") || strings.Contains(r.stdout, "upstream") {
		t.Errorf("status: exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	_, page := d.get(t, d.web, "/")
	contains(t, "the list", page, "Working", "xoauthd refreshes it by itself")
	d.failing(t, 0)
}

// ill checks that status, pages and metrics report the SMTP fault of the account.
func (d *daemon) ill(t *testing.T, why string) {
	t.Helper()
	r := d.status(t)
	if r.status != 1 || !strings.Contains(r.stdout, "failing") || !strings.Contains(r.stdout, d.user+": "+why) ||
		!strings.Contains(r.stderr, "1 of 1 account needs attention") {
		t.Errorf("status: exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	var s struct{ Accounts []api.Account }
	must(t, json.Unmarshal([]byte(d.status(t, "--json").stdout), &s))
	told := false
	for _, p := range s.Accounts[0].Problems {
		told = told || p.Part == "smtp" && strings.HasPrefix(p.Text, why) && p.Failing && !p.Last.IsZero() && p.Hint != ""
	}
	if !told || s.Accounts[0].Logins["imap"].IsZero() {
		t.Errorf("status --json: %+v", s)
	}
	for _, path := range []string{"/", "/authorize/" + d.user} {
		_, page := d.get(t, d.web, path)
		contains(t, path, page, `warn">failing<`, strings.ReplaceAll(why, "'", "&#39;"))
		if strings.Contains(page, "refreshes it by itself") || strings.Contains(page, "Working") {
			t.Errorf("%s says that all is well:\n%s", path, page)
		}
	}
	d.failing(t, 1)
}

// failing compares the failure metrics of the account and of its protocols.
func (d *daemon) failing(t *testing.T, want float64) {
	t.Helper()
	if got := d.metric(t, fmt.Sprintf("xoauthd_account_failing{account=%q}", d.user)); got != want {
		t.Errorf("xoauthd_account_failing is %v, want %v", got, want)
	}
	for protocol, want := range map[string]float64{"smtp": want, "imap": 0} {
		if got := d.metric(t, fmt.Sprintf("xoauthd_account_login_failing{account=%q,protocol=%q}", d.user, protocol)); got != want {
			t.Errorf("xoauthd_account_login_failing of %s is %v, want %v", protocol, got, want)
		}
	}
}

// A refuser replaces Postfix and refuses every login.
type refuser struct {
	ln          net.Listener
	certificate tls.Certificate
}

func newRefuser(t *testing.T, e *env) *refuser {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(e.path("cert.pem"), e.path("key.pem"))
	must(t, err)
	ln, err := net.Listen("tcp", address(e.postfix.Port))
	must(t, err)
	r := &refuser{ln, certificate}
	t.Cleanup(r.close)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // it is closed
			}
			go r.serve(c)
		}
	}()
	return r
}

func (r *refuser) close() { r.ln.Close() }

func (r *refuser) serve(c net.Conn) {
	defer func() { c.Close() }()
	fmt.Fprint(c, "220 smtp.example.com ready\r\n")
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " ")
		switch verb {
		case "EHLO":
			fmt.Fprint(c, "250-smtp.example.com\r\n250-STARTTLS\r\n250 AUTH XOAUTH2\r\n")
		case "STARTTLS":
			fmt.Fprint(c, "220 go ahead\r\n")
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{r.certificate}})
			lines = bufio.NewScanner(c)
		case "AUTH":
			fmt.Fprint(c, smtpOff+"\r\n")
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "500 what\r\n")
		}
	}
}
