package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/testing/idp"
)

// TestAttackDescriptorsDuringRefresh uses up the file descriptors of the daemon during a
// refresh. The provider ends a grant whose refresh token is used twice. The daemon must
// save the new grant and survive systemd's watchdog. Then it is killed, and after a
// restart the grant works.
func TestAttackDescriptorsDuringRefresh(t *testing.T) {
	const files = 400
	m := newManager(t)
	d := newTarget(t, nil)
	d.stop(t)
	d.forgetAccessToken(t)
	rotated, answer := d.holdRefresh()
	d.start(t, files) // the refresh begins by itself: there is no access token
	var access string
	select {
	case access = <-rotated:
	case <-time.After(20 * time.Second):
		t.Fatalf("no refresh; the log:\n%s", d.log.String())
	}
	release := d.useUp(t)
	close(answer)
	d.waitFor(t, "the refresh", func() bool { return strings.Contains(d.log.String(), "token refreshed") })
	m.fed(t, 3, func() { d.lowerLimit(t) }) // connections end, and give descriptors back
	log := d.log.String()
	for _, bad := range []string{auth.ErrNotSaved.Error(), "account record not saved", "health check failed"} {
		if strings.Contains(log, bad) {
			t.Errorf("the log has %q", bad)
		}
	}
	if !strings.Contains(log, "LimitNOFILE=") {
		t.Error("the log does not tell what to do")
	}

	must(t, d.cmd.Process.Kill())
	d.cmd.Wait() // which tells that it was killed
	release()
	d.start(t, files)
	d.logIn(t)
	d.provider.RevokeAccess(access)
	d.logIn(t) // with the refresh token
	if n := d.provider.TokenRequests(); n != 2 {
		t.Errorf("%d requests to the token endpoint, want one before the kill and one after it", n)
	}
}

// TestRootsWithoutDescriptors checks that the daemon reads the system's certificates at
// its start, so that it needs no descriptor for them later.
func TestRootsWithoutDescriptors(t *testing.T) {
	d := newTarget(t, func(c *targetConfig) {
		c.SystemRoots = true
		t.Setenv("SSL_CERT_FILE", filepath.Join(filepath.Dir(c.State), "ca.pem"))
	})
	must(t, os.Remove(filepath.Join(d.dir, "ca.pem")))
	d.logIn(t)
}

// forgetAccessToken replaces the stored grant by one with a refresh token only.
func (d *target) forgetAccessToken(t *testing.T) {
	t.Helper()
	must(t, os.RemoveAll(d.state))
	_, refresh, _, err := d.provider.Issue(targetAccount)
	must(t, err)
	store, err := store.Open(d.state, store.Encryption{})
	must(t, err)
	must(t, store.Save(targetAccount, oauth.Grant{RefreshToken: refresh, Obtained: time.Now()}))
	must(t, store.Close())
	d.giveAway(t)
}

// holdRefresh makes the provider delay its response to the next refresh until answer is
// closed. The refresh token is rotated before; rotated receives the access token.
func (d *target) holdRefresh() (rotated <-chan string, answer chan<- struct{}) {
	tokens, held := make(chan string, 1), make(chan struct{})
	var first sync.Once
	handler := func(w http.ResponseWriter, r *http.Request) {
		late := httptest.NewRecorder()
		d.provider.ServeHTTP(late, r)
		if r.URL.Path == idp.TokenPath {
			first.Do(func() {
				var said struct {
					AccessToken string `json:"access_token"`
				}
				json.Unmarshal(late.Body.Bytes(), &said) // an empty token fails the test
				tokens <- said.AccessToken
				<-held
			})
		}
		for key, values := range late.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(late.Code)
		w.Write(late.Body.Bytes())
	}
	front := http.Handler(http.HandlerFunc(handler))
	d.front.Store(&front)
	return tokens, held
}

// useUp uses up the descriptors of the daemon, by connections to all listeners and by a
// lower limit. release closes the connections.
func (d *target) useUp(t *testing.T) (release func()) {
	t.Helper()
	var conns []net.Conn
	release = func() {
		for _, c := range conns {
			c.Close()
		}
	}
	t.Cleanup(release)
	ports := []int{d.imap, d.smtp, d.web, d.metrics}
	connect := func(n int) {
		for _, port := range ports {
			for range n {
				c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				must(t, err)
				conns = append(conns, c)
			}
		}
	}
	connect(20)
	d.lowerLimit(t)
	connect(20)
	d.waitFor(t, "the descriptors to run out", func() bool {
		for _, name := range []string{"imap", "smtp", "web", "metrics"} {
			if !strings.Contains(d.log.String(), `msg="accepting connections failed; trying again" listener=`+name) {
				return false
			}
		}
		return true
	})
	return release
}

// lowerLimit lowers the descriptor limit of the daemon to what it uses.
func (d *target) lowerLimit(t *testing.T) {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
	must(t, err)
	used := make(map[string]bool)
	for _, f := range files {
		used[f.Name()] = true
	}
	lowest := 0
	for used[strconv.Itoa(lowest)] {
		lowest++
	}
	// Root may not be allowed to do this to another user's process.
	prlimit := exec.Command("prlimit", fmt.Sprintf("--pid=%d", d.cmd.Process.Pid), fmt.Sprintf("--nofile=%d:", lowest))
	prlimit.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, daemonUser)}
	if out, err := prlimit.CombinedOutput(); err != nil {
		t.Fatalf("prlimit: %v: %s", err, out)
	}
}

// A manager receives the messages of daemons to the service manager.
type manager struct {
	allowed time.Duration // between two messages to the watchdog

	mu    sync.Mutex
	beats []time.Time
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{allowed: 6 * time.Second}
	dir, err := os.MkdirTemp("/tmp", "xoauthd-notify-") // which other users can enter
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, os.Chmod(path, 0o777))
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", fmt.Sprint(m.allowed.Microseconds()))
	t.Setenv("WATCHDOG_PID", "")
	go func() {
		for b := make([]byte, 4096); ; {
			n, err := c.Read(b)
			if err != nil {
				return // it is closed
			}
			if string(b[:n]) == "WATCHDOG=1" {
				m.mu.Lock()
				m.beats = append(m.beats, time.Now())
				m.mu.Unlock()
			}
		}
	}()
	return m
}

// fed fails unless n watchdog messages arrive in time. Meanwhile it calls trouble
// repeatedly.
func (m *manager) fed(t *testing.T, n int, trouble func()) {
	t.Helper()
	last := time.Now()
	for heard := 0; heard < n; time.Sleep(50 * time.Millisecond) {
		trouble()
		m.mu.Lock()
		beats := m.beats
		m.mu.Unlock()
		for _, at := range beats[len(beats)-min(len(beats), n):] {
			if at.After(last) {
				last = at
				heard++
			}
		}
		if time.Since(last) > m.allowed {
			t.Errorf("after %d messages, the watchdog ends the daemon", heard)
			return
		}
	}
}
