//go:build linux

package soak

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// A daemon is the built program, running as a user of its own if the test is root.
type daemon struct {
	dir, program, file, logFile string
	user                        *syscall.Credential // nil: that of the test
	password                    string
	imap, smtp, pop3, page      int // ports; page is that of the metrics

	cmd   *exec.Cmd
	ended chan error // receives the result of cmd.Wait
}

var configuration = template.Must(template.New("").Parse(`state_directory = "{{.State}}"

[[listener]]
protocol = "imap"
address  = "127.0.0.1:{{.IMAP}}"

[[listener]]
protocol = "smtp"
address  = "127.0.0.1:{{.SMTP}}"

[[listener]]
protocol = "pop3"
address  = "127.0.0.1:{{.POP3}}"

[web]
address = "127.0.0.1:{{.Web}}"

[metrics]
address = "127.0.0.1:{{.Metrics}}"

[limits]
step_timeout = "2s"

[provider.soak]
client_id         = "xoauthd"
client_secret     = "{{.Secret}}"
authorization_url = "{{.Issuer}}/authorize"
token_url         = "{{.Issuer}}/token"
revocation_url    = "{{.Issuer}}/revoke"
revocation        = "grant"
issuer            = "{{.Issuer}}"
scopes            = ["mail", "offline_access"]
ca_file           = "ca.pem"
imap = { host = "localhost", port = {{.Upstream.imap}} }
smtp = { host = "localhost", port = {{.Upstream.smtp}} }
pop3 = { host = "localhost", port = {{.Upstream.pop3}} }
{{range .Accounts}}
[account."{{.}}"]
provider = "soak"
{{$.Hash}}
{{end}}`))

// newDirectory returns a directory that the daemon's user can enter. The directory is
// removed after the test, unless the test has failed.
func newDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "xoauthd-soak-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("see %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	return dir
}

// newDaemon builds and configures the daemon.
func newDaemon(t *testing.T, dir string, p *provider, m *mailServer) *daemon {
	t.Helper()
	d := &daemon{
		dir:      dir,
		program:  filepath.Join(dir, "xoauthd"),
		file:     filepath.Join(dir, "xoauthd.toml"),
		logFile:  filepath.Join(dir, "log"),
		user:     daemonUser(t),
		password: rand.Text(),
	}
	if out, err := exec.Command("go", "build", "-o", d.program, "github.com/xoauthd/xoauthd/cmd/xoauthd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	var web int
	for _, port := range []*int{&d.imap, &d.smtp, &d.pop3, &d.page, &web} {
		*port = unusedPort(t)
	}
	var text bytes.Buffer
	must(t, configuration.Execute(&text, map[string]any{
		"State": stateDirectory(dir), "Accounts": accounts,
		"IMAP": d.imap, "SMTP": d.smtp, "POP3": d.pop3, "Web": web, "Metrics": d.page,
		"Secret": p.secret, "Issuer": p.issuer(), "Upstream": m.ports,
		"Hash": d.run(t, d.password+"\n", "hash-password"),
	}))
	must(t, os.WriteFile(d.file, text.Bytes(), 0o600))
	if d.user != nil {
		must(t, os.Chown(d.file, int(d.user.Uid), int(d.user.Gid)))
	}
	return d
}

// daemonUser is the user of the machine that the daemon runs as; nil if the test is
// not root, and there is no choice.
func daemonUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("daemon")
	must(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	must(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	must(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// unusedPort returns a port below the ephemeral ports, so that no outgoing connection
// takes it while a server restarts. It never returns a port twice.
func unusedPort(t *testing.T) int {
	t.Helper()
	for port := lastPort + 1; port < 32_000; port++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			ln.Close()
			lastPort = port
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

var lastPort = 15_000 + os.Getpid()%1000*10

// process returns a command that runs the program as the daemon's user.
func (d *daemon) process(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Dir = d.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.user, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs a command of the program and returns what it prints. It ends the test if
// the command fails.
func (d *daemon) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	said, err := d.try(stdin, args...)
	if err != nil {
		t.Fatalf("xoauthd %s: %v\n%s\n%s", strings.Join(args, " "), err, said, d.log())
	}
	return said
}

// try is run for a command that may fail. After a failure, said includes standard error.
func (d *daemon) try(stdin string, args ...string) (said string, err error) {
	ctx, cancel := timeout(time.Minute)
	defer cancel()
	cmd := d.process(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		out = append(out, stderr.Bytes()...)
	}
	return string(out), err
}

// start starts the daemon and waits until it is ready.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	must(t, err)
	defer log.Close()
	d.cmd = d.process(context.Background(), "serve", "--config", d.file)
	d.cmd.Stderr = log
	must(t, d.cmd.Start())
	ended := make(chan error, 1)
	d.ended = ended
	go func(cmd *exec.Cmd) { ended <- cmd.Wait() }(d.cmd)
	t.Cleanup(func() { d.cmd.Process.Kill() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := d.get("/readyz"); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("the daemon does not start: %v\n%s", err, d.log())
		}
	}
}

// stop ends the daemon by SIGTERM, as systemd does, within the unit's time limit.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	d.signal(t, syscall.SIGTERM)
	select {
	case err := <-d.ended:
		if err != nil {
			t.Fatalf("at SIGTERM, the daemon ended with %v\n%s", err, d.log())
		}
	case <-time.After(70 * time.Second):
		t.Fatalf("at SIGTERM, the daemon does not end\n%s", d.log())
	}
}

// kill ends the daemon by SIGKILL.
func (d *daemon) kill(t *testing.T) {
	t.Helper()
	d.signal(t, syscall.SIGKILL)
	<-d.ended
}

// signal sends a signal. It ends the test if the daemon has ended by itself.
func (d *daemon) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	select {
	case err := <-d.ended:
		t.Fatalf("the daemon ended by itself: %v\n%s", err, d.log())
	default:
	}
	must(t, d.cmd.Process.Signal(s))
}

// get returns a page of the metrics listener.
func (d *daemon) get(path string) (string, error) {
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", d.page, path))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", path, resp.StatusCode)
	}
	return string(page), err
}

// log returns the end of the daemon's log.
func (d *daemon) log() string {
	b, _ := os.ReadFile(d.logFile)
	return string(b[max(0, len(b)-8000):])
}

func timeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
