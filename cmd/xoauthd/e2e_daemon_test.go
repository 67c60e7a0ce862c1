package main_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/store"
)

// A daemon is xoauthd with one account.
type daemon struct {
	*env
	user, password string
	dir, file, log string
	state          string // directory
	cmd            *exec.Cmd

	imap, smtp, pop3 int // ports at which clients connect
	way              way // how they begin TLS
}

// daemonConfig is the data of the template xoauthd.toml.
type daemonConfig struct {
	State                      string
	IMAP, SMTP, POP3           int
	Web, Metrics               int
	ClientID, ClientSecret     string
	Issuer, CA, Mechanism      string
	UpstreamIMAP, UpstreamSMTP int
	UpstreamPOP3               int
	User, PasswordHash         string

	Provider string // keys in the place of those of the authorization code flow
	Account  string // more keys
	Accounts string // tables in the place of the account's
	Upstream string // more keys of each mail server

	ProviderKeys string // more keys
	API          string // URL of a fake of an API in the place of the SMTP server
	Gmail        bool   // API is the Gmail API; false: Microsoft Graph

	Listeners string // more tables of listeners, and what they need
	Limits    string // more keys
}

// newDaemon starts a daemon whose account is not authorized yet.
func (e *env) newDaemon(t *testing.T) *daemon {
	t.Helper()
	return e.newDaemonWith(t, func(*daemonConfig) {})
}

// authorized starts a daemon whose account a person has authorized.
func (e *env) authorized(t *testing.T) *daemon {
	t.Helper()
	d := e.newDaemon(t)
	d.authorize(t)
	return d
}

// newDaemonWith is newDaemon with a configuration that change modifies. The end of the
// test stops the daemon.
func (e *env) newDaemonWith(t *testing.T, change func(*daemonConfig)) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp(e.dir, "daemon-")
	must(t, err)
	d := &daemon{
		env:   e,
		user:  e.mailboxes[0],
		dir:   dir,
		file:  filepath.Join(dir, "xoauthd.toml"),
		log:   filepath.Join(dir, "log"),
		state: filepath.Join(dir, "state"),
		imap:  e.imap, smtp: e.smtp, pop3: e.pop3, way: never,
	}
	e.mailboxes = e.mailboxes[1:]
	d.usePassword(t, newPassword())
	e.write(t, "xoauthd.toml", d.file, 0o600, d.config(t, change))
	for _, file := range []string{e.dovecot.Log, e.postfix.Log, d.log} {
		showing(t, file)
	}
	t.Cleanup(func() { d.finish(t) })
	d.start(t)
	return d
}

func (d *daemon) config(t *testing.T, change func(*daemonConfig)) daemonConfig {
	hash := d.run(t, command{stdin: d.password + "\n"}, d.program, "hash-password")
	_, bare, _ := strings.Cut(hash, `"`)
	d.secrets.add("password hash", strings.TrimRight(bare, "\"\n"))
	c := daemonConfig{
		State: d.state,
		IMAP:  d.imap, SMTP: d.smtp, POP3: d.pop3, Web: d.web, Metrics: d.metrics,
		ClientID: d.provider.config.ClientID, ClientSecret: d.provider.config.ClientSecret,
		Issuer: d.provider.issuer, CA: d.path("ca.pem"), Mechanism: "auto",
		UpstreamIMAP: d.dovecot.Port, UpstreamSMTP: d.postfix.Port, UpstreamPOP3: d.dovecot.POP3,
		User: d.user, PasswordHash: hash,
	}
	change(&c)
	return c
}

// newPassword returns a random password that clients must quote.
func newPassword() string { return rand.Text() + awkwardEnd }

const awkwardEnd = ` "\%{`

// usePassword sets the password of all clients.
func (d *daemon) usePassword(t *testing.T, password string) {
	t.Helper()
	d.password = password
	must(t, os.WriteFile(d.passwordFile(), []byte(password+"\n"), 0o600))
	d.secrets.add("password", strings.TrimSuffix(password, awkwardEnd))
}

func (d *daemon) passwordFile() string { return filepath.Join(d.dir, "password") }

// start starts the daemon and waits until it is ready.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	must(t, err)
	defer log.Close()
	d.cmd = exec.Command(d.program, "serve", "--config", d.file)
	d.cmd.Stderr = log
	must(t, d.cmd.Start())
	listening(t, d.metrics)
	poll(t, "/readyz", func() bool {
		status, _ := d.get(t, d.metrics, "/readyz")
		return status == 200
	})
}

// stop sends SIGTERM and waits until the daemon has exited.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	must(t, d.cmd.Process.Signal(syscall.SIGTERM))
	if err := end(d.cmd); err != nil {
		t.Errorf("the daemon ended: %v", err)
	}
	d.cmd = nil
}

// kill sends SIGKILL.
func (d *daemon) kill(t *testing.T) {
	t.Helper()
	must(t, d.cmd.Process.Kill())
	d.cmd.Wait() // returns the signal as an error
	d.cmd = nil
}

// finish stops the daemon if it runs, and stores its output for the search for secrets.
func (d *daemon) finish(t *testing.T) {
	if d.cmd != nil {
		if !t.Failed() { // the daemon may already be stopping
			d.keep(t, d.metrics, "/metrics")
			d.keep(t, d.web, "/")
			d.keep(t, d.web, "/authorize/"+d.user)
			d.keepCommands(t)
		}
		d.stop(t)
	}
	b, err := os.ReadFile(d.log)
	must(t, err)
	d.said[d.log] += string(b)
	for _, bad := range []string{"DATA RACE", "panic:"} {
		if bytes.Contains(b, []byte(bad)) {
			t.Errorf("%s in the log", bad)
		}
	}
}

// keep stores a page of the daemon for the search for secrets.
func (d *daemon) keep(t *testing.T, port int, path string) {
	t.Helper()
	status, page := d.get(t, port, path)
	if status != 200 {
		t.Errorf("%s: status %d", path, status)
	}
	d.said[d.dir+" "+path] += page
}

// keepCommands stores the output of commands, and the command line that ps shows.
func (d *daemon) keepCommands(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"status", "--json"}, {"check"}, {"check", "--json", d.user}} {
		r := d.try(t, command{}, d.program, append(args, "--config", d.file)...)
		d.said[d.dir+" "+strings.Join(args, " ")] += r.stdout + r.stderr
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.cmd.Process.Pid))
	must(t, err)
	d.said[d.dir+" cmdline"] += string(cmdline)
}

// metric returns the value of a metric. name includes the labels, in the form of the
// metrics page.
func (d *daemon) metric(t *testing.T, name string) float64 {
	t.Helper()
	_, page := d.get(t, d.metrics, "/metrics")
	_, rest, found := strings.Cut(page, "\n"+name+" ")
	if !found {
		t.Fatalf("there is no metric %s", name)
	}
	value, _, _ := strings.Cut(rest, "\n")
	number, err := strconv.ParseFloat(value, 64)
	must(t, err)
	return number
}

// expire sets the expiry of the stored access token into the past, and restarts the
// daemon.
func (d *daemon) expire(t *testing.T) {
	t.Helper()
	d.stop(t)
	store, err := store.Open(d.state, store.Encryption{})
	must(t, err)
	grant, err := store.Load(d.user)
	must(t, err)
	grant.Expiry = time.Now().Add(-time.Minute)
	must(t, store.Save(d.user, grant))
	must(t, store.Close())
	d.start(t)
}

// accessToken returns the stored access token. The daemon holds the store's lock, so this
// reads a copy.
func (d *daemon) accessToken(t *testing.T) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "state")
	must(t, exec.Command("cp", "-a", d.state, copied).Run()) // with its modes
	store, err := store.Open(copied, store.Encryption{})
	must(t, err)
	grant, err := store.Load(d.user)
	must(t, err)
	must(t, store.Close())
	return grant.AccessToken
}
