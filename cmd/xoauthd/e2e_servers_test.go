package main_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// mailServer is the data of the server templates.
type mailServer struct {
	Dir, Log         string
	Port             int
	Certificate, Key string // files
	Mail             string // the folder of the mailboxes
	UID, GID         string // of their owner
	SASL             string // the socket where Postfix asks Dovecot
	Introspection    string // Dovecot's URL at the provider
	AppPasswords     string // the file of those that Dovecot takes

	POP3 int // port, of Dovecot

	// Of Postfix.
	Name       string
	Submission bool
	Smarthost  int    // port
	Recipe     string // lines for a smarthost, in the place of those of the template
}

// startServers starts the provider's mail servers.
func (e *env) startServers(t *testing.T) {
	certificate, err := e.ca.Issue("localhost", "127.0.0.1")
	must(t, err)
	cert, key, err := ca.Encode(certificate)
	must(t, err)
	must(t, os.WriteFile(e.path("cert.pem"), cert, 0o644))
	must(t, os.WriteFile(e.path("key.pem"), key, 0o600))

	owner, err := user.Lookup("nobody")
	must(t, err)
	must(t, os.Mkdir(e.mailDir, 0o755))
	chown(t, e.mailDir, owner)

	introspection, err := url.Parse(e.provider.issuer + "/introspect")
	must(t, err)
	introspection.User = url.UserPassword(e.provider.config.ServiceID, e.provider.config.ServiceSecret)
	shared := mailServer{
		Certificate:   e.path("cert.pem"),
		Key:           e.path("key.pem"),
		Mail:          e.mailDir,
		UID:           owner.Uid,
		GID:           owner.Gid,
		SASL:          e.path("sasl"),
		Introspection: introspection.String(),
		AppPasswords:  e.path("app-passwords"),
	}
	must(t, os.WriteFile(shared.AppPasswords, nil, 0o644))
	e.dovecot = newDovecot(t, e, shared)
	shared.Submission = true
	e.postfix = newPostfix(t, e, "submission", shared)
	started := false
	t.Cleanup(func() { // later, each test shows what the servers logged during it
		if !started {
			show(t, e.dovecot.Log, 0)
			show(t, e.postfix.Log, 0)
		}
	})
	e.dovecot.start(t)
	e.postfix.start(t)
	started = true
}

func chown(t *testing.T, path string, owner *user.User) {
	t.Helper()
	uid, err := strconv.Atoi(owner.Uid)
	must(t, err)
	gid, err := strconv.Atoi(owner.Gid)
	must(t, err)
	must(t, os.Chown(path, uid, gid))
}

// dovecot is the IMAP and POP3 server, and the authentication server of Postfix.
type dovecot struct {
	mailServer
	file string
	cmd  *exec.Cmd
}

// dovecotVersions are the versions that have a configuration in testdata/e2e: those of
// Debian 12 and 13.
var dovecotVersions = []string{"2.3", "2.4"}

// dovecotVersion returns the major and minor version of Dovecot.
func dovecotVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("dovecot", "--version").Output()
	must(t, err)
	parts := strings.SplitN(string(out), ".", 3)
	if len(parts) < 3 {
		t.Fatalf("dovecot --version: %q", out)
	}
	return parts[0] + "." + parts[1]
}

func newDovecot(t *testing.T, e *env, s mailServer) *dovecot {
	s.Dir, s.Log, s.Port, s.POP3 = e.path("dovecot"), e.path("dovecot.log"), e.freePort(t), e.freePort(t)
	must(t, os.Mkdir(s.Dir, 0o755))
	d := &dovecot{mailServer: s, file: filepath.Join(s.Dir, "dovecot.conf")}
	e.write(t, "dovecot-"+dovecotVersion(t)+".conf", d.file, 0o644, s)
	e.write(t, "dovecot-2.3-oauth2.conf", filepath.Join(s.Dir, "oauth2.conf"), 0o600, s) // 2.4 does not read it
	t.Cleanup(func() { d.stop(t) })
	return d
}

// start starts the server and waits until it listens.
func (d *dovecot) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	must(t, err)
	defer log.Close()
	d.cmd = exec.Command("dovecot", "-F", "-c", d.file)
	d.cmd.Stderr = log // until it has read where to log
	must(t, d.cmd.Start())
	listening(t, d.Port)
	listening(t, d.POP3)
}

// stop stops the server if it runs.
func (d *dovecot) stop(t *testing.T) {
	t.Helper()
	if d.cmd == nil {
		return
	}
	cmd := d.cmd
	d.cmd = nil
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	must(t, end(cmd))
}

// end waits for a process that has been told to exit, and kills it if it does not exit.
func end(cmd *exec.Cmd) error {
	defer time.AfterFunc(patience, func() { cmd.Process.Kill() }).Stop()
	return cmd.Wait()
}

// postfix is an instance of Postfix: the submission server, or one that relays to a
// smarthost.
type postfix struct {
	mailServer
	running bool
}

func newPostfix(t *testing.T, e *env, name string, s mailServer) *postfix {
	s.Dir, s.Port, s.Name = e.path(name), e.freePort(t), name+".example.com"
	s.Log = filepath.Join(s.Dir, "log")
	owner, err := user.Lookup("postfix")
	must(t, err)
	p := &postfix{mailServer: s}
	for _, dir := range []string{s.Dir, p.config(), filepath.Join(s.Dir, "queue"), filepath.Join(s.Dir, "data")} {
		must(t, os.Mkdir(dir, 0o755))
	}
	chown(t, filepath.Join(s.Dir, "data"), owner)
	var boxes strings.Builder
	for _, mailbox := range e.mailboxes {
		local, _, _ := strings.Cut(mailbox, "@")
		fmt.Fprintf(&boxes, "%s %s/\n", mailbox, local)
	}
	must(t, os.WriteFile(filepath.Join(s.Dir, "mailboxes"), []byte(boxes.String()), 0o644))
	e.write(t, "main.cf", filepath.Join(p.config(), "main.cf"), 0o644, s)
	e.write(t, "master.cf", filepath.Join(p.config(), "master.cf"), 0o644, s)
	t.Cleanup(func() { p.stop(t) })
	return p
}

// config returns the configuration directory.
func (p *postfix) config() string { return filepath.Join(p.Dir, "etc") }

// start starts the server and waits until it listens.
func (p *postfix) start(t *testing.T) {
	t.Helper()
	p.command(t, "start")
	p.running = true
	listening(t, p.Port)
}

// stop stops the server if it runs.
func (p *postfix) stop(t *testing.T) {
	t.Helper()
	if p.running {
		p.running = false
		p.command(t, "stop")
	}
}

func (p *postfix) command(t *testing.T, verb string) {
	t.Helper()
	if out, err := exec.Command("postfix", "-c", p.config(), verb).CombinedOutput(); err != nil {
		t.Fatalf("postfix %s: %v\n%s", verb, err, out)
	}
}

// log returns the log.
func (p *postfix) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(p.Log)
	must(t, err)
	return string(b)
}
