package main_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/race"
)

// An env is the test environment that the scenarios of a lane share: the program, the
// provider, the mail servers and the output of all daemons.
type env struct {
	dir      string // open to all users, so that servers with users of their own get through
	program  string
	ca       *ca.CA
	provider *provider
	dovecot  *dovecot
	postfix  *postfix
	mailDir  string // has a Maildir for each mailbox, by its local part

	imap, smtp, pop3, web, metrics int // ports of the daemon that runs

	mailboxes []string // those that no test has taken yet
	secrets   secrets
	said      map[string]string // everything that daemons said, by where they did
}

// mailboxes is the number of mailboxes of an env. Each daemon uses one.
const mailboxes = 60

// newEnv starts the servers. The end of the test stops them.
func newEnv(t *testing.T, program string) *env {
	// Other users cannot enter t.TempDir, and its name may be too long for a unix socket.
	dir, err := os.MkdirTemp("/tmp", "xoauthd-e2e-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))

	e := &env{dir: dir, program: program, mailDir: filepath.Join(dir, "mail"), said: make(map[string]string)}
	for i := range mailboxes {
		e.mailboxes = append(e.mailboxes, fmt.Sprintf("user%d@example.com", i))
	}
	for _, port := range []*int{&e.imap, &e.smtp, &e.pop3, &e.web, &e.metrics} {
		*port = e.freePort(t)
	}
	e.ca, err = ca.New()
	must(t, err)
	must(t, os.WriteFile(e.path("ca.pem"), e.ca.PEM(), 0o644))
	e.provider = startProvider(t, e)
	e.startServers(t)
	return e
}

// path returns the path of a file in the directory of e.
func (e *env) path(elements ...string) string {
	return filepath.Join(append([]string{e.dir}, elements...)...)
}

// buildProgram builds xoauthd, with the race detector if the test uses it.
func buildProgram(t *testing.T) string {
	program := filepath.Join(t.TempDir(), "xoauthd")
	args := []string{"build", "-o", program}
	if race.Enabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// write executes a template of testdata/e2e and writes the result to file.
func (e *env) write(t *testing.T, name, file string, mode os.FileMode, data any) {
	t.Helper()
	tmpl, err := template.ParseFiles(filepath.Join("testdata", "e2e", name))
	must(t, err)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	must(t, err)
	must(t, tmpl.Execute(f, data))
	must(t, f.Close())
}

// mail returns the paths of the messages in a mailbox.
func (e *env) mail(t *testing.T, mailbox string) []string {
	t.Helper()
	local, _, _ := strings.Cut(mailbox, "@")
	files, err := filepath.Glob(filepath.Join(e.mailDir, local, "[nc][eu][wr]", "*"))
	must(t, err)
	return files
}

// delivered waits until a mailbox has n messages.
func (e *env) delivered(t *testing.T, mailbox string, n int) {
	t.Helper()
	poll(t, fmt.Sprintf("%d messages for %s", n, mailbox), func() bool { return len(e.mail(t, mailbox)) >= n })
	if got := len(e.mail(t, mailbox)); got != n {
		t.Fatalf("%s has %d messages, want %d", mailbox, got, n)
	}
}

// showing logs what the test has added to a file, if the test fails.
func showing(t *testing.T, file string) {
	before := size(file)
	t.Cleanup(func() {
		if t.Failed() {
			show(t, file, before)
		}
	})
}

// show logs the end of a file, beginning at an offset.
func show(t *testing.T, file string, offset int) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Log(err)
		return
	}
	const most = 16 << 10
	t.Logf("%s:\n%s", file, b[max(min(offset, len(b)), len(b)-most):])
}

func size(file string) int {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return int(info.Size())
}

// patience limits each wait of a test. It is much longer than usual waits, because the
// machine may be busy.
const patience = time.Minute

// poll waits until done reports true.
func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// listening waits until a program listens on a loopback port.
func listening(t *testing.T, port int) {
	t.Helper()
	poll(t, fmt.Sprintf("a listener at port %d", port), func() bool {
		c, err := net.Dial("tcp", address(port))
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// address returns the loopback address of a port.
func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// ports holds the ports that freePort has returned.
var ports struct {
	sync.Mutex
	used map[int]bool
}

// freePort returns a different free port at each call. The port is below the system's
// range for outgoing connections, so that none of these takes it while the server is down.
func (e *env) freePort(t *testing.T) int {
	t.Helper()
	const first, last = 10000, 32767
	ports.Lock()
	defer ports.Unlock()
	if ports.used == nil {
		ports.used = make(map[int]bool)
	}
	for range 100 {
		port := first + rand.IntN(last-first)
		ln, err := net.Listen("tcp", address(port))
		if err != nil {
			continue
		}
		ln.Close()
		if !ports.used[port] {
			ports.used[port] = true
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
