package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func testWrongPassword(t *testing.T, e *env) {
	d := e.authorized(t)
	right := d.password
	d.usePassword(t, newPassword())
	d.refusedEverywhere(t, []string{"535 5.7.8"}, []string{"[AUTHENTICATIONFAILED]"}, []string{"[AUTH]"})
	d.usePassword(t, right)
	d.worksEverywhere(t)
}

func testNotAuthorized(t *testing.T, e *env) {
	d := e.newDaemon(t)
	link := d.link(t)
	d.refusedEverywhere(t, []string{"454 4.7.0", link}, []string{"[CONTACTADMIN]", link}, []string{"[SYS/PERM]", link})
	if needs := d.metric(t, needsAuthorization(d.user)); needs != 1 {
		t.Errorf("needs authorization: %v", needs)
	}
	d.authorize(t)
	d.worksEverywhere(t)
}

// outage stops a server and returns a function that restarts it. The end of the test
// restarts it too.
func outage(t *testing.T, server interface {
	start(t *testing.T)
	stop(t *testing.T)
}) (over func()) {
	t.Helper()
	server.stop(t)
	over = sync.OnceFunc(func() { server.start(t) })
	t.Cleanup(over)
	return over
}

func testProviderDown(t *testing.T, e *env) {
	d := e.authorized(t)
	d.expire(t)
	over := outage(t, e.provider)
	d.refusedEverywhere(t, []string{"454 4.4.3"}, []string{"[UNAVAILABLE]"}, []string{"[SYS/TEMP]"})
	if needs := d.metric(t, needsAuthorization(d.user)); needs != 0 {
		t.Errorf("needs authorization: %v", needs)
	}
	over()
	poll(t, "the daemon to ask again", func() bool { return curlSend(t, d, greeting).status == 0 })
	d.delivered(t, d.user, 1)
	d.worksEverywhere(t)
}

func testUpstreamDown(t *testing.T, e *env) {
	d := e.authorized(t)
	imapOver, smtpOver := outage(t, e.dovecot), outage(t, e.postfix)
	d.refusedEverywhere(t, []string{"454 4.4.1"}, []string{"[UNAVAILABLE]"}, []string{"[SYS/TEMP]"})
	imapOver()
	smtpOver()
	d.worksEverywhere(t)
}

// testSmarthost configures xoauthd as the smarthost of a Postfix. Postfix must keep the
// mail during any outage, and deliver it unchanged afterwards.
func testSmarthost(t *testing.T, e *env) {
	d := e.authorized(t)
	p := d.smarthost(t)
	body := awkward() + "\r\n"
	subjects := make(map[string]string)
	submit := func(subject string) {
		t.Helper()
		message := "Subject: " + subject + "\r\nContent-Type: text/plain; charset=unknown-8bit" +
			"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body
		d.run(t, command{stdin: message}, "curl", "--silent", "--show-error", "--url", "smtp://"+address(p.Port),
			"--mail-from", d.user, "--mail-rcpt", d.user, "--upload-file", "-")
		subjects[subject] = body
	}
	deferred := func(code string) {
		t.Helper()
		poll(t, "a message that waits for "+code, func() bool {
			for line := range strings.Lines(p.log(t)) {
				if strings.Contains(line, "status=deferred") && strings.Contains(line, code) {
					return true
				}
			}
			return false
		})
	}

	submit("no outage")
	d.delivered(t, d.user, 1)

	d.expire(t)
	over := outage(t, e.provider)
	submit("no provider")
	deferred("454 4.4.3")
	over()
	d.delivered(t, d.user, 2)

	over = outage(t, e.postfix)
	submit("no mail server")
	deferred("454 4.4.1")
	over()
	d.delivered(t, d.user, 3)

	e.provider.idp.Load().RevokeAll(d.user)
	submit("no grant")
	deferred("454 4.7.0")
	d.authorize(t)
	d.delivered(t, d.user, 4)

	if strings.Contains(p.log(t), "status=bounced") {
		t.Error("mail was bounced")
	}
	got := bodies(t, imaplibRead(t, d, "").stdout)
	for subject, want := range subjects {
		compare(t, subject, got[subject], want)
	}
}

// smarthost starts a mail server that relays to the daemon.
func (d *daemon) smarthost(t *testing.T) *postfix {
	t.Helper()
	p := newPostfix(t, d.env, "relay"+strings.TrimPrefix(filepath.Base(d.dir), "daemon-"), mailServer{Smarthost: d.smtp})
	showing(t, p.Log)
	passwords := fmt.Sprintf("[%s]:%d %s:%s\n", "127.0.0.1", d.smtp, d.user, d.password)
	must(t, os.WriteFile(filepath.Join(p.Dir, "passwords"), []byte(passwords), 0o600))
	p.start(t)
	return p
}
