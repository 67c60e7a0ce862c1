package main_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/idp"
)

// testCommand obtains the access token from a command.
func testCommand(t *testing.T, e *env) {
	tokens := e.path("printed")
	must(t, os.Mkdir(tokens, 0o700))
	program := e.path("print-token")
	must(t, os.WriteFile(program, []byte("#!/bin/sh\nexec cat \""+tokens+"/$1\"\n"), 0o700))
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.Provider = fmt.Sprintf("flow = \"command\"\ntoken_command = [%q, \"{account}\"]\n", program)
	})
	r := d.try(t, command{}, d.program, "authorize", "--config", d.file, d.user)
	if r.status != 1 {
		t.Errorf("authorize: exit status %d", r.status)
	}
	contains(t, "authorize", r.stderr, "check")

	d.refusedEverywhere(t, []string{"454 4.4.3"}, []string{"[UNAVAILABLE]"}, []string{"[SYS/TEMP]"})
	must(t, os.WriteFile(filepath.Join(tokens, d.user), []byte(d.issue(t)+"\n"), 0o600))
	poll(t, "the daemon to ask again", func() bool { return curlSend(t, d, greeting).status == 0 })
	d.delivered(t, d.user, 1)
	d.worksEverywhere(t)
}

// issue returns an access token for the account, as after a consent.
func (d *daemon) issue(t *testing.T) (access string) {
	t.Helper()
	access, refresh, _, err := d.provider.idp.Load().Issue(d.user)
	must(t, err)
	d.secrets.add("access token", access)
	d.secrets.add("refresh token", refresh)
	return access
}

// testAppPassword logs in upstream with an app password that differs from the local one.
func testAppPassword(t *testing.T, e *env) {
	upstream := rand.Text()
	e.secrets.add("app password", upstream)
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.Provider = "flow = \"app_password\"\n"
		c.Account = fmt.Sprintf("upstream_password = %q\n", upstream)
	})
	d.refusedEverywhere(t, []string{"454 4.7.1"}, []string{"[AUTHORIZATIONFAILED]"}, []string{"[SYS/PERM]"})
	must(t, os.WriteFile(e.dovecot.AppPasswords, []byte(d.user+":"+upstream+"\n"), 0o644))
	// Dovecot reads its file once a second, and the daemon does not retry a refused
	// password at once.
	poll(t, "the password to be tried again by SMTP", func() bool { return curlSend(t, d, greeting).status == 0 })
	d.delivered(t, d.user, 1)
	poll(t, "the password to be tried again by IMAP", func() bool { return curlRead(t, d, "").status == 0 })
	poll(t, "the password to be tried again by POP3", func() bool { return curlFetch(t, d, "").status == 0 })
	d.worksEverywhere(t)
	d.logs(t, "AUTH PLAIN", "AUTHENTICATE PLAIN")

	right := d.password
	d.usePassword(t, upstream) // which is for the upstream alone
	d.refusedEverywhere(t, []string{"535 5.7.8"}, []string{"[AUTHENTICATIONFAILED]"}, []string{"[AUTH]"})
	d.usePassword(t, right)
}

// logs waits until the log contains all texts. The daemon writes its log in the
// background.
func (d *daemon) logs(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		poll(t, text+" in the log", func() bool { return strings.Contains(d.logged(t), text) })
	}
}

// logged returns the log of the daemon up to now.
func (d *daemon) logged(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(d.log)
	must(t, err)
	return string(b)
}

// testImport imports the refresh token of another program. The provider rotates it, so the
// token of the other program ends.
func testImport(t *testing.T, e *env) {
	d := e.newDaemon(t)
	d.refusedEverywhere(t, []string{"454 4.7.0"}, []string{"[CONTACTADMIN]"}, []string{"[SYS/PERM]"})
	bring := func(refresh string) result {
		r := d.try(t, command{stdin: refresh + "\n"}, d.program, "grant", "import", "--config", d.file, d.user)
		d.said[d.dir+" grant import"] += r.stdout + r.stderr
		return r
	}
	r := bring("of-nobody-at-all")
	if r.status != 1 {
		t.Errorf("a token of nobody: exit status %d", r.status)
	}
	contains(t, "stderr", r.stderr, "invalid_grant")

	_, refresh, _, err := e.provider.idp.Load().Issue(d.user)
	must(t, err)
	e.secrets.add("refresh token", refresh)
	if r := bring(refresh); r.status != 0 {
		t.Fatalf("exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	d.worksEverywhere(t)

	_, other, _, err := e.provider.idp.Load().Issue(e.mailboxes[0])
	must(t, err)
	e.secrets.add("refresh token", other)
	if r := bring(other); r.status != 1 {
		t.Errorf("a token of another mailbox: exit status %d\n%s", r.status, r.stdout)
	}
	d.worksEverywhere(t)
}

// testRevoke revokes the grant.
func testRevoke(t *testing.T, e *env) {
	d := e.authorized(t)
	token := d.accessToken(t)
	r := d.try(t, command{}, d.program, "revoke", "--yes", "--config", d.file, d.user)
	if r.status != 0 {
		t.Fatalf("exit status %d\n%s", r.status, r.stderr)
	}
	d.said[d.dir+" revoke"] += r.stdout + r.stderr
	if _, ok := e.provider.idp.Load().User(token); ok {
		t.Error("the provider still takes the access token")
	}
	d.refusedEverywhere(t, []string{"454 4.7.0", d.link(t)}, []string{"[CONTACTADMIN]", d.link(t)}, []string{"[SYS/PERM]", d.link(t)})
	d.restart(t)
	d.refusedEverywhere(t, []string{"454 4.7.0"}, []string{"[CONTACTADMIN]"}, []string{"[SYS/PERM]"})
	d.authorize(t)
	d.worksEverywhere(t)
}

// testSharedMailbox logs in with one user name. The upstream server sees another one for
// each protocol.
func testSharedMailbox(t *testing.T, e *env) {
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.Account = fmt.Sprintf("imap_user = %[1]q\nsmtp_user = %[1]q\npop3_user = %[1]q\nlogin_hint = %[1]q\n", c.User)
		c.User = "shared@example.org"
	})
	delegate := d.user
	d.user = "shared@example.org"
	contains(t, "the last page", d.authorizeAs(t, delegate), "Done")
	if r := curlRead(t, d, ""); r.status != 78 && r.status != 0 {
		t.Errorf("IMAP: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	r := d.try(t, command{stdin: greeting}, "curl", "--silent", "--show-error", "--url", "smtp://"+address(d.smtp),
		"--user", d.user+":"+d.password, "--mail-from", delegate, "--mail-rcpt", delegate, "--upload-file", "-")
	if r.status != 0 {
		t.Errorf("SMTP: exit status %d\n%s", r.status, r.stderr)
	}
	d.delivered(t, delegate, 1)
	if r := curlFetch(t, d, ""); r.status != 0 {
		t.Errorf("POP3: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	d.logs(t, "account="+d.user, delegate)
}

// testPattern opens the mailboxes of a password file by client credentials with a
// certificate.
func testPattern(t *testing.T, e *env) {
	key, certificate := e.application(t)
	mailbox := e.mailboxes[0]
	e.provider.registered(t, func(c *idp.Config) {
		c.ClientSecret, c.ClientKey, c.ClientMailbox = "", &key.PublicKey, mailbox
	})
	passwords := e.path("passwords")
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.Provider = fmt.Sprintf(`flow = "client_credentials"
client_id          = %q
client_certificate = %q
token_url          = "%s/token"
scopes             = ["mail"]
`, c.ClientID, certificate, c.Issuer)
		c.Accounts = fmt.Sprintf("[account.\"*@example.com\"]\nprovider = \"example\"\npassword_file = %q\n", passwords)
		_, hash, _ := strings.Cut(c.PasswordHash, `"`)
		must(t, os.WriteFile(passwords, []byte(c.User+":"+strings.TrimRight(hash, "\"\n")+"\n"), 0o600))
	})
	d.worksEverywhere(t)
	d.examined(t)
	if needs := d.metric(t, needsAuthorization(d.user)); needs != 0 {
		t.Errorf("needs authorization: %v", needs)
	}

	right := d.user
	d.user = e.mailboxes[0] // which the file does not name
	d.refusedEverywhere(t, []string{"535 5.7.8"}, []string{"[AUTHENTICATIONFAILED]"}, []string{"[AUTH]"})
	d.user = right
}

// application creates the key of a client, and a file with its certificate.
func (e *env) application(t *testing.T) (key *rsa.PrivateKey, file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	file = e.path("application.pem")
	must(t, os.WriteFile(file, append(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), 0o600))
	return key, file
}

// testServiceAccount opens a mailbox with a Google service account.
func testServiceAccount(t *testing.T, e *env) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	const email = "robot@project.example.com"
	e.provider.registered(t, func(c *idp.Config) { c.ServiceAccount, c.ServiceAccountKey = email, &key.PublicKey })
	file := e.path("robot.json")
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": email, "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"token_uri":   e.provider.issuer + "/token",
	})
	must(t, err)
	must(t, os.WriteFile(file, text, 0o600))
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.Provider = fmt.Sprintf("flow = \"service_account\"\nservice_account_file = %q\nscopes = [\"mail\"]\n", file)
	})
	d.worksEverywhere(t)
	d.expire(t)
	d.worksEverywhere(t)
	d.examined(t)
}
