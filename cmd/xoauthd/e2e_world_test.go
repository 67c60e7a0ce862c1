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

// A world is what the scenarios of a lane share: the program, the provider with its
// mail servers, and what the daemons said.
type world struct {
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

// mailboxes is how many tests there can be, and more.
const mailboxes = 60

// newWorld starts the servers. They end with the test.
func newWorld(t *testing.T, program string) *world {
	// Not below t.TempDir, which others cannot enter, and whose name may be too
	// long for a socket.
	dir, err := os.MkdirTemp("/tmp", "xoauthd-e2e-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))

	w := &world{dir: dir, program: program, mailDir: filepath.Join(dir, "mail"), said: make(map[string]string)}
	for i := range mailboxes {
		w.mailboxes = append(w.mailboxes, fmt.Sprintf("user%d@example.com", i))
	}
	for _, port := range []*int{&w.imap, &w.smtp, &w.pop3, &w.web, &w.metrics} {
		*port = w.freePort(t)
	}
	w.ca, err = ca.New()
	must(t, err)
	must(t, os.WriteFile(w.path("ca.pem"), w.ca.PEM(), 0o644))
	w.provider = startProvider(t, w)
	w.startServers(t)
	return w
}

// path is that of a file of the world.
func (w *world) path(elements ...string) string {
	return filepath.Join(append([]string{w.dir}, elements...)...)
}

// buildForWorlds builds the program, with the race detector if the test has it.
func buildForWorlds(t *testing.T) string {
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

// write fills in a template of testdata/e2e.
func (w *world) write(t *testing.T, name, file string, mode os.FileMode, data any) {
	t.Helper()
	tmpl, err := template.ParseFiles(filepath.Join("testdata", "e2e", name))
	must(t, err)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	must(t, err)
	must(t, tmpl.Execute(f, data))
	must(t, f.Close())
}

// mail returns the names of the files that a mailbox has.
func (w *world) mail(t *testing.T, mailbox string) []string {
	t.Helper()
	local, _, _ := strings.Cut(mailbox, "@")
	files, err := filepath.Glob(filepath.Join(w.mailDir, local, "[nc][eu][wr]", "*"))
	must(t, err)
	return files
}

// delivered waits until a mailbox has n messages.
func (w *world) delivered(t *testing.T, mailbox string, n int) {
	t.Helper()
	poll(t, fmt.Sprintf("%d messages for %s", n, mailbox), func() bool { return len(w.mail(t, mailbox)) >= n })
	if got := len(w.mail(t, mailbox)); got != n {
		t.Fatalf("%s has %d messages, want %d", mailbox, got, n)
	}
}

// showing logs what a file will have gained if the test fails.
func showing(t *testing.T, file string) {
	before := size(file)
	t.Cleanup(func() {
		if t.Failed() {
			show(t, file, before)
		}
	})
}

// show logs a file, or the end of it, from an offset on.
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

// patience is how long anything may take that a test waits for: much longer than
// it does, as the machine may be busy.
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

// listening waits until somebody listens at a port of this machine.
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

// address is where a port of this machine is reached.
func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// ports are those that freePort has returned.
var ports struct {
	sync.Mutex
	used map[int]bool
}

// freePort returns a port at which nobody listens, and a different one each time. It
// is below the ports that the system picks for outgoing connections: one of these
// must not take it while the server is down.
func (w *world) freePort(t *testing.T) int {
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
