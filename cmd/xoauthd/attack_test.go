package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/children"
	"github.com/xoauthd/xoauthd/internal/testing/idp"
	"github.com/xoauthd/xoauthd/internal/testing/mailhost"
)

// The users of the machine in an attack. Debian has all of them.
const (
	daemonUser   = "daemon" // runs xoauthd
	programUser  = "mail"   // runs the mail program that may log in
	attackerUser = "nobody"
)

// The account of a target.
const (
	targetAccount  = "alice@example.com"
	targetPassword = "correct horse battery"
)

// A target is the program as it is installed: built, running under a user of its
// own, with a provider and mail servers in the test process.
type target struct {
	dir   string // open to all users
	file  string // the configuration
	state string

	imap, smtp, web, metrics int // ports

	provider *idp.Server
	front    atomic.Pointer[http.Handler] // stands before the provider; nil: nothing
	issuer   string                       // of the provider
	host     *mailhost.Host
	cmd      *exec.Cmd // nil while the daemon does not run
	log      *logBuffer
	sockets  *holder // of what the daemon is given; nil: nothing
}

// targetConfig is what the configuration of a target is filled in with. Its
// fields may be changed before the daemon starts.
type targetConfig struct {
	State                      string
	IMAP, SMTP, Web, Metrics   string // addresses
	Issuer, ClientSecret       string
	UpstreamIMAP, UpstreamSMTP int
	Account, Hash              string

	Listeners   string // keys that both listeners get
	WebKeys     string // more keys
	MetricsKeys string // more keys
	Extra       string // tables that follow
	NoFiles     int    // RLIMIT_NOFILE of the daemon; 0 leaves it
	SystemRoots bool   // the provider has no ca_file

	Sockets *holder // hands sockets to the daemon, as systemd does; may be nil
	Systemd string  // name of those that IMAP gets; empty: by its address
}

var targetTemplate = template.Must(template.New("").Parse(`state_directory = "{{.State}}"

[[listener]]
protocol = "imap"
{{if .Systemd}}systemd = "{{.Systemd}}"{{else}}address = "{{.IMAP}}"{{end}}
{{.Listeners}}

[[listener]]
protocol = "smtp"
address  = "{{.SMTP}}"
{{.Listeners}}
{{if .Web}}
[web]
address = "{{.Web}}"
{{.WebKeys}}
{{end}}{{if .Metrics}}
[metrics]
address = "{{.Metrics}}"
{{.MetricsKeys}}
{{end}}
[provider.example]
client_id         = "xoauthd-test"
client_secret     = "{{.ClientSecret}}"
authorization_url = "{{.Issuer}}/authorize"
token_url         = "{{.Issuer}}/token"
revocation_url    = "{{.Issuer}}/revoke"
issuer            = "{{.Issuer}}"
scopes            = ["mail", "offline_access"]
{{if not .SystemRoots}}ca_file = "ca.pem"{{end}}
imap = { host = "localhost", port = {{.UpstreamIMAP}}, tls = "implicit" }
smtp = { host = "localhost", port = {{.UpstreamSMTP}}, tls = "starttls" }

[account."{{.Account}}"]
provider      = "example"
password_hash = "{{.Hash}}"

{{.Extra}}
`))

// newTarget starts a daemon under daemonUser, whose account is authorized. It
// ends with the test. change may be nil.
func newTarget(t *testing.T, change func(*targetConfig)) *target {
	t.Helper()
	requireUsers(t)
	children.Limit(t, 5*time.Minute)
	// Not below t.TempDir, which other users cannot enter.
	dir, err := os.MkdirTemp("/tmp", "xoauthd-attack-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	d := &target{dir: dir, file: filepath.Join(dir, "xoauthd.toml"), state: filepath.Join(dir, "state"), log: new(logBuffer)}
	for _, port := range []*int{&d.imap, &d.smtp, &d.web, &d.metrics} {
		*port = unusedPort(t)
	}
	c := &targetConfig{
		State:   d.state,
		IMAP:    fmt.Sprintf("127.0.0.1:%d", d.imap),
		SMTP:    fmt.Sprintf("127.0.0.1:%d", d.smtp),
		Web:     fmt.Sprintf("127.0.0.1:%d", d.web),
		Metrics: fmt.Sprintf("127.0.0.1:%d", d.metrics),
		Account: targetAccount,
	}
	d.startProvider(t, c)
	c.Hash, err = password.Hash(targetPassword)
	must(t, err)
	if change != nil {
		change(c)
	}
	d.sockets = c.Sockets
	var text bytes.Buffer
	must(t, targetTemplate.Execute(&text, c))
	must(t, os.WriteFile(d.file, text.Bytes(), 0o640))
	d.authorize(t)
	d.giveAway(t)
	d.start(t, c.NoFiles)
	t.Cleanup(func() {
		d.stop(t)
		if t.Failed() {
			t.Logf("the log of the daemon:\n%s", shortenLog(d.log.String()))
		}
	})
	return d
}

// startProvider starts the servers of the provider, and fills in c with them.
func (d *target) startProvider(t *testing.T, c *targetConfig) {
	t.Helper()
	authority, err := ca.New()
	must(t, err)
	certificate, err := authority.Issue("localhost", "127.0.0.1")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(d.dir, "ca.pem"), authority.PEM(), 0o644))
	oauth, imap, smtp := anyPort(t), anyPort(t), anyPort(t)
	d.issuer = "http://" + oauth.Addr().String()
	c.Issuer = d.issuer
	c.ClientSecret = rand.Text()
	c.UpstreamIMAP, c.UpstreamSMTP = imap.Addr().(*net.TCPAddr).Port, smtp.Addr().(*net.TCPAddr).Port
	d.provider, err = idp.New(idp.Config{
		Issuer:       c.Issuer,
		ClientID:     "xoauthd-test",
		ClientSecret: c.ClientSecret,
		RedirectURLs: []string{
			fmt.Sprintf("http://localhost:%d/callback", d.web),
			fmt.Sprintf("http://localhost:%d/callback/example", d.web), // beside another provider
		},
		Users: []string{targetAccount},
	})
	must(t, err)
	d.host = mailhost.New(mailhost.Config{Certificate: certificate, Check: d.provider.User, Mailboxes: []string{targetAccount}})
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if front := d.front.Load(); front != nil {
			(*front).ServeHTTP(w, r)
			return
		}
		d.provider.ServeHTTP(w, r)
	})}
	go web.Serve(oauth) // ends with an error when it is closed, as do the next two
	go d.host.ServeIMAP(imap)
	go d.host.ServeSMTP(smtp)
	t.Cleanup(func() {
		web.Close()
		d.host.Close()
	})
}

// authorize puts a grant into the store, as if a person had consented.
func (d *target) authorize(t *testing.T) {
	t.Helper()
	access, refresh, expiry, err := d.provider.Issue(targetAccount)
	must(t, err)
	store, err := store.Open(d.state, store.Encryption{})
	must(t, err)
	must(t, store.Save(targetAccount, oauth.Grant{AccessToken: access, RefreshToken: refresh, Expiry: expiry, Obtained: time.Now()}))
	must(t, store.Close())
}

// giveAway makes the files those of daemonUser, as an installation does.
func (d *target) giveAway(t *testing.T) {
	t.Helper()
	id := credential(t, daemonUser)
	must(t, os.Chown(d.file, 0, int(id.Gid)))
	must(t, filepath.WalkDir(d.state, func(path string, _ fs.DirEntry, err error) error {
		return cmp.Or(err, os.Chown(path, int(id.Uid), int(id.Gid)))
	}))
}

// start runs the daemon and waits until it serves.
func (d *target) start(t *testing.T, noFiles int) {
	t.Helper()
	args := []string{buildProgram(t), "serve", "--config", d.file}
	if noFiles > 0 {
		args = append([]string{"prlimit", fmt.Sprintf("--nofile=%d", noFiles)}, args...)
	}
	d.cmd = d.command(t, args...)
	d.cmd.Stderr = d.log
	must(t, d.cmd.Start())
	for _, port := range []int{d.imap, d.smtp} {
		d.waitFor(t, "the listeners", func() bool {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
}

// command returns a command that runs the daemon under its user, with its sockets.
func (d *target) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	var files []*os.File
	if d.sockets != nil { // a process learns its own number from the shell
		args = append([]string{"sh", "-c", d.sockets.environment() + ` LISTEN_PID=$$ exec "$@"`, "sh"}, args...)
		files = d.sockets.files
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.ExtraFiles = files
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, daemonUser), Pdeathsig: syscall.SIGKILL}
	return cmd
}

// stop ends the daemon as systemd does.
func (d *target) stop(t *testing.T) {
	t.Helper()
	if d.cmd == nil {
		return
	}
	must(t, d.cmd.Process.Signal(syscall.SIGTERM))
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("the daemon ended: %v", err)
	}
	d.cmd = nil
}

// waitFor waits until what is so; it ends the test if that takes 20 seconds.
func (d *target) waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s; the log:\n%s", what, shortenLog(d.log.String()))
		}
	}
}

// as returns a command that runs a role (see roles) as a user of the machine. It
// ends with the test, if not before.
func (d *target) as(t *testing.T, name, role string, args ...string) *exec.Cmd {
	t.Helper()
	if roles[role] == nil {
		t.Fatalf("there is no role %q", role)
	}
	cmd := exec.Command(testBinary(t), args...)
	cmd.Env = []string{roleVariable + "=" + role, raceVariable + "=" + raceOptions, "PATH=" + os.Getenv("PATH")}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, name), Pdeathsig: syscall.SIGKILL}
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

// output runs a role as a user and returns what it printed.
func (d *target) output(t *testing.T, name, role string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := d.as(t, name, role, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s as %s: %v\n%s", role, name, err, stderr.Bytes())
	}
	return string(out)
}

// logIn logs in by IMAP as programUser, with the password that is right, and
// returns how long that took. It ends the test if the login is refused.
func (d *target) logIn(t *testing.T) time.Duration {
	t.Helper()
	said := d.output(t, programUser, "login", strconv.Itoa(d.imap), targetAccount, targetPassword)
	took, reply, _ := strings.Cut(said, " ")
	if !strings.HasPrefix(reply, "a OK ") {
		t.Fatalf("the login was answered %q after %s", reply, took)
	}
	spent, err := time.ParseDuration(took)
	must(t, err)
	return spent
}

// A role is what the test binary does when it runs as another user.
var roles = map[string]func(args []string) error{
	"login": loginRole,
	"bind":  bindRole,
	"get":   getRole,
	"proxy": proxyRole,

	"flood":           floodRole,
	"flood-authorize": floodAuthorize,

	"guess":       guessRole,
	"tokens":      tokenRole,
	"token-login": tokenLoginRole,

	"junk": junkRole,
}

const roleVariable = "XOAUTHD_TEST_ROLE"

// runRole does what the environment says, if it says so: TestMain begins with it.
func runRole() {
	name := os.Getenv(roleVariable)
	if name == "" {
		return
	}
	if err := roles[name](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// loginRole logs in to a port by IMAP, and prints how long that took, and the
// reply.
func loginRole(args []string) error {
	if len(args) != 3 {
		return errors.New("want port, user name and password")
	}
	start := time.Now()
	c, err := net.Dial("tcp", "127.0.0.1:"+args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(start.Add(time.Minute))
	fmt.Fprintf(c, "a LOGIN %q %q\r\nb LOGOUT\r\n", args[1], args[2])
	said, err := io.ReadAll(c)
	took := time.Since(start)
	for line := range strings.Lines(string(said)) {
		if strings.HasPrefix(line, "a ") {
			fmt.Print(took, " ", line)
			return nil
		}
	}
	return fmt.Errorf("no reply to the login in %q after %v: %w", said, took, err)
}

// requireUsers ends the test where it cannot run as several users: it is skipped,
// unless XOAUTHD_E2E=required says that it must not be.
func requireUsers(t *testing.T) {
	t.Helper()
	give := t.Skipf
	if os.Getenv("XOAUTHD_E2E") == "required" {
		give = t.Fatalf
	} else if testing.Short() {
		t.Skip("attacks by other users of the machine take a while")
	}
	if os.Getuid() != 0 {
		give("attacks by other users of the machine are not tested: only root can run programs as these")
	}
}

// credential is that of a user of the machine.
func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	must(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	must(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	must(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// shared is a folder that all users can enter, for what all targets use. It is
// removed by TestMain.
var shared struct {
	sync.Mutex
	dir     string
	program string
	binary  string
}

// openShared makes the folder. The caller holds the lock.
func openShared(t *testing.T) string {
	t.Helper()
	if shared.dir == "" {
		dir, err := os.MkdirTemp("/tmp", "xoauthd-shared-")
		must(t, err)
		must(t, os.Chmod(dir, 0o755))
		shared.dir = dir
	}
	return shared.dir
}

// removeShared removes what buildProgram and testBinary made.
func removeShared() {
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
}

// buildProgram returns the path of the program, which it builds once.
func buildProgram(t *testing.T) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.program == "" {
		path := filepath.Join(openShared(t), "xoauthd")
		if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
		shared.program = path
	}
	return shared.program
}

// testBinary returns a copy of this program that all users can run.
func testBinary(t *testing.T) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.binary == "" {
		self, err := os.Executable()
		must(t, err)
		path := filepath.Join(openShared(t), "roles")
		must(t, exec.Command("cp", self, path).Run())
		must(t, os.Chmod(path, 0o755))
		shared.binary = path
	}
	return shared.binary
}

func anyPort(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

// unusedPort is a port that the system takes for no other program meanwhile, as
// it is below those that it gives away.
func unusedPort(t *testing.T) int {
	t.Helper()
	takenPorts.Lock()
	defer takenPorts.Unlock()
	if takenPorts.set == nil {
		takenPorts.set = make(map[int]bool)
	}
	for port := 20_000 + os.Getpid()%1000*10; port < 32_000; port++ {
		if takenPorts.set[port] {
			continue
		}
		takenPorts.set[port] = true
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// takenPorts are those that unusedPort has returned.
var takenPorts struct {
	sync.Mutex
	set map[int]bool
}

// A logBuffer keeps what the daemon logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// shortenLog keeps the beginning and the end of a long log.
func shortenLog(s string) string {
	const most = 4000
	if len(s) <= 2*most {
		return s
	}
	return s[:most] + "\n[…]\n" + s[len(s)-most:]
}

// TestAttackNobody is the base line: without an attack, the program logs in.
func TestAttackNobody(t *testing.T) {
	d := newTarget(t, nil)
	if took := d.logIn(t); took > 10*time.Second {
		t.Errorf("a login took %v", took)
	}
}
