package main_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testUnixSocket comes in by unix sockets, which have the owner and the mode that
// the configuration says.
func testUnixSocket(t *testing.T, w *world) {
	file := w.path("imap.sock")
	d := w.newDaemonWith(t, func(c *daemonConfig) {
		c.Listeners = fmt.Sprintf("[[listener]]\nprotocol = \"imap\"\naddress = \"unix:%s\"\nsocket_user = \"nobody\"\nsocket_mode = \"0660\"\nlocal_users = [\"root\"]\n", file)
	})
	d.authorize(t)
	info, err := os.Stat(file)
	must(t, err)
	nobody, err := user.Lookup("nobody")
	must(t, err)
	if owner := strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)); info.Mode().Perm() != 0o660 || owner != nobody.Uid {
		t.Errorf("mode %v, owner %s", info.Mode(), owner)
	}
	conn, err := net.Dial("unix", file)
	must(t, err)
	c := newConversation(t, conn)
	c.line()
	c.do("LOGIN %s %s", d.user, quote(d.password))
	c.do("SELECT INBOX")
	c.do("LOGOUT")
	if d.letsIn(t, "nobody", "unix:"+file) {
		t.Error("another user came in")
	}
	d.stop(t)
	if _, err := os.Lstat(file); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	d.start(t)
}

// letsIn reports whether a socket, or a port, greets a program of another user of
// this machine.
func (d *daemon) letsIn(t *testing.T, name, where string) bool {
	t.Helper()
	u, err := user.Lookup(name)
	must(t, err)
	uid, err := strconv.Atoi(u.Uid)
	must(t, err)
	gid, err := strconv.Atoi(u.Gid)
	must(t, err)
	const script = `import socket, sys
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX if path.startswith("unix:") else socket.AF_INET)
s.settimeout(60)
s.connect(path[5:] if path.startswith("unix:") else ("127.0.0.1", int(path)))
print(s.recv(100).startswith(b"* OK"))`
	cmd := exec.Command(python, "-c", script, where)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	cmd.Dir = "/"
	out, err := cmd.Output()
	must(t, err)
	return string(out) == "True\n"
}

// testLocalUsers lets the programs of one user of this machine in, and of no
// other, on both families.
func testLocalUsers(t *testing.T, w *world) {
	tables, ports := w.doors(t, `local_users = ["root"]`)
	d := w.newDaemonWith(t, func(c *daemonConfig) { c.Listeners = tables })
	d.authorize(t)
	d.through(ports, never).worksEverywhere(t)
	if r := d.curl(t, command{}, fmt.Sprintf("imap://[::1]:%d", ports["imap"])); r.status != 0 {
		t.Errorf("by IPv6: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	if d.letsIn(t, "nobody", strconv.Itoa(ports["imap"])) {
		t.Error("another user came in")
	}
	poll(t, "a word in the log", func() bool {
		return strings.Contains(d.logged(t), "user nobody is not in local_users")
	})
}

// testBalancer has a real load balancer in front, which says by the PROXY protocol
// whom it passes on. Who comes by another way is not let in, whatever it says.
func testBalancer(t *testing.T, w *world) {
	tables, ports := w.doors(t, `proxy_protocol = ["127.0.0.1"]`)
	d := w.newDaemonWith(t, func(c *daemonConfig) {
		c.Listeners = tables
		c.Account = fmt.Sprintf("\n[[account.%q.login]]\nlabel = \"far\"\n%snetworks = [\"127.0.0.7\"]\n", c.User, c.PasswordHash)
		c.PasswordHash = ""
	})
	d.authorize(t)
	far := []string{"--interface", "127.0.0.7"}
	for version, send := range map[string]string{"1": "send-proxy", "2": "send-proxy-v2"} {
		front := w.freePort(t)
		config := w.path("haproxy-" + version + ".cfg")
		must(t, os.WriteFile(config, []byte(fmt.Sprintf("defaults\n mode tcp\n timeout connect 10s\n timeout client 10m\n timeout server 10m\nlisten mail\n bind %s\n server xoauthd %s %s\n",
			address(front), address(ports["imap"]), send)), 0o644))
		w.background(t, front, "haproxy", "-f", config)
		behind := d.through(doors{"imap": front}, never)
		if r := behind.curl(t, command{}, behind.url("imap"), far...); r.status != 0 {
			t.Errorf("version %s: exit status %d\n%s", version, r.status, shorten(r.stderr))
		}
		if r := behind.curl(t, command{}, behind.url("imap")); r.status != 67 {
			t.Errorf("version %s, from another address: exit status %d\n%s", version, r.status, shorten(r.stderr))
		}
	}
	direct := d.through(ports, never)
	if r := direct.curl(t, command{}, direct.url("imap"), far...); r.status == 0 {
		t.Error("without the load balancer: it came in")
	}
	d.logs(t, "client=127.0.0.7:", "via=127.0.0.1:", "result=forbidden")
}

// testOutbound reaches the provider, and its mail servers, through a proxy.
func testOutbound(t *testing.T, w *world) {
	socks, connect := w.freePort(t), w.freePort(t)
	config := w.path("tinyproxy.conf")
	must(t, os.WriteFile(config, []byte(fmt.Sprintf("Port %d\nListen 127.0.0.1\nTimeout 600\nLogFile %q\nMaxClients 50\nAllow 127.0.0.1\nBasicAuth joe pr0xyPassw0rd\n", connect, w.path("tinyproxy.log"))), 0o644))
	w.background(t, socks, "microsocks", "-i", "127.0.0.1", "-p", strconv.Itoa(socks), "-u", "joe", "-P", "pr0xyPassw0rd")
	w.background(t, connect, "tinyproxy", "-d", "-c", config)
	w.secrets.add("proxy password", "pr0xyPassw0rd")
	for scheme, port := range map[string]int{"socks5": socks, "http": connect} {
		t.Run(scheme, func(t *testing.T) {
			d := w.newDaemonWith(t, func(c *daemonConfig) {
				c.ProviderKeys = fmt.Sprintf("proxy = \"%s://joe:pr0xyPassw0rd@%s\"\n", scheme, address(port))
			})
			d.authorize(t)
			d.worksEverywhere(t)
			r := d.try(t, command{}, d.program, "check", d.user, "--config", d.file)
			if r.status != 0 {
				t.Errorf("check: exit status %d\n%s", r.status, r.stdout+r.stderr)
			}
			contains(t, "check", r.stdout, "through")
		})
	}
	log, err := os.ReadFile(w.path("tinyproxy.log"))
	must(t, err)
	contains(t, "what tinyproxy saw", string(log), "CONNECT localhost:"+strconv.Itoa(w.dovecot.Port), "CONNECT localhost:"+strconv.Itoa(w.postfix.Port))
}

// background runs a program that listens at a port until the test ends.
func (w *world) background(t *testing.T, port int, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	log, err := os.Create(w.path(filepath.Base(name) + ".out"))
	must(t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	listening(t, port)
}

// hash is what Dovecot makes of a password.
func (w *world) hash(t *testing.T, scheme, password string) string {
	t.Helper()
	out, err := exec.Command("doveadm", "pw", "-s", scheme, "-p", password).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}

// testLogins gives a mailbox to several programs, each with a password of its
// own, in the hashes that other programs make; and shuts one of them out.
func testLogins(t *testing.T, w *world) {
	passwords := map[string]string{"scanner": "5canner", "tickets": "t1ckets", "old": "01d-one"}
	d := w.newDaemonWith(t, func(c *daemonConfig) {
		login := "[[account.%q.login]]\nlabel = %q\nuser = %q\npassword_hash = %q\n%s\n"
		c.Account = "\n" +
			fmt.Sprintf(login, c.User, "scanner", "scanner", w.hash(t, "BLF-CRYPT", passwords["scanner"]), `protocols = ["smtp"]`) +
			fmt.Sprintf(login, c.User, "tickets", c.User, w.hash(t, "SHA512-CRYPT", passwords["tickets"]), `networks = ["127.0.0.0/8"]`) +
			fmt.Sprintf(login, c.User, "old", "old", w.hash(t, "SHA512-CRYPT", passwords["old"]), "ends = 2026-01-01")
	})
	for what, password := range passwords {
		w.secrets.add("password of "+what, password)
	}
	d.authorize(t)
	d.worksEverywhere(t) // with the account's own
	mailbox := d.user

	as := func(user, password string) *daemon {
		other := *d
		other.user, other.password = user, password
		return &other
	}
	scanner := func() result {
		return as("scanner", passwords["scanner"]).curl(t, command{stdin: greeting}, d.url("smtp"),
			"--mail-from", mailbox, "--mail-rcpt", mailbox, "--upload-file", "-")
	}
	if r := scanner(); r.status != 0 {
		t.Errorf("scanner: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	if r := as("scanner", passwords["scanner"]).curl(t, command{}, d.url("imap")); r.status != 67 {
		t.Errorf("scanner reads: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	if r := as(mailbox, passwords["tickets"]).curl(t, command{}, d.url("pop3")); r.status != 0 {
		t.Errorf("tickets: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	if r := as("old", passwords["old"]).curl(t, command{}, d.url("imap")); r.status != 67 {
		t.Errorf("old: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	poll(t, "the last refusal in the log", func() bool { return strings.Contains(d.logged(t), ": expired after 2026-01-01") })
	d.logs(t, "login=scanner", "login=tickets", "protocol imap is not allowed")
	name := `xoauthd_logins_total{account="` + mailbox + `",login="scanner",protocol="smtp",result="ok"}`
	if n := d.metric(t, name); n != 1 {
		t.Errorf("%s %v", name, n)
	}
}

// testNamedMailbox names a mailbox behind the user name.
func testNamedMailbox(t *testing.T, w *world) {
	const info = "info@example.org"
	d := w.newDaemonWith(t, func(c *daemonConfig) {
		c.Account = fmt.Sprintf("shared_mailboxes = [%q, %q]\n", c.User, info)
	})
	d.authorize(t)
	as := func(user string) *daemon {
		other := *d
		other.user = user
		return &other
	}
	for _, protocol := range []string{"imap", "pop3"} {
		for _, between := range []string{`\`, "*"} {
			if r := as(d.user+between+d.user).curl(t, command{}, d.url(protocol)); r.status != 0 {
				t.Errorf("%s, its own, by %s: exit status %d\n%s", protocol, between, r.status, shorten(r.stderr))
			}
			// Dovecot does not let this token open another's mailbox.
			if r := as(d.user+between+info).curl(t, command{}, d.url(protocol)); r.status != 67 {
				t.Errorf("%s, another's, by %s: exit status %d\n%s", protocol, between, r.status, shorten(r.stderr))
			}
			if r := as(d.user+between+"other@example.org").curl(t, command{}, d.url(protocol)); r.status != 67 {
				t.Errorf("%s, one that is not allowed, by %s: exit status %d\n%s", protocol, between, r.status, shorten(r.stderr))
			}
		}
	}
	d.logs(t, "upstream_user="+info, "result=upstream_refused", "result=bad_credentials")
}

// testQueue has an account with one session at a time: the second waits until the
// first has left, or it has waited too long.
func testQueue(t *testing.T, w *world) {
	d := w.newDaemonWith(t, func(c *daemonConfig) {
		c.Upstream, c.Limits = ", sessions = 1", `queue_timeout = "3s"`
	})
	d.authorize(t)
	first := d.logInIMAP(t)
	r := d.curl(t, command{}, d.url("imap"))
	contains(t, "what curl said", r.stderr, "[LIMIT]")
	if r := d.curl(t, command{}, d.url("pop3")); r.status != 0 {
		t.Errorf("another protocol: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	ended := make(chan result)
	go func() { ended <- d.curl(t, command{}, d.url("imap")) }()
	poll(t, "a session in the queue", func() bool { return d.metric(t, `xoauthd_queued_sessions{protocol="imap"}`) == 1 })
	first.do("LOGOUT")
	first.conn.Close()
	if r := <-ended; r.status != 0 {
		t.Errorf("after the first: exit status %d\n%s", r.status, shorten(r.stderr))
	}
}

// testGuesses has somebody guess, fast, while programs go on with their work.
func testGuesses(t *testing.T, w *world) {
	d := w.authorized(t)
	d.worksEverywhere(t)
	stop, over := make(chan struct{}), make(chan int)
	const guessers = 20
	for range guessers {
		go func() {
			n := 0
			for ; ; n++ {
				select {
				case <-stop:
					over <- n
					return
				default:
				}
				c, err := net.Dial("tcp", address(d.imap))
				if err != nil {
					continue
				}
				c.SetDeadline(time.Now().Add(clientTime))
				for i := range 3 {
					fmt.Fprintf(c, "a LOGIN %s guess%d\r\n", d.user, i)
				}
				c.(*net.TCPConn).CloseWrite()
				for buffer := make([]byte, 4096); err == nil; {
					_, err = c.Read(buffer)
				}
				c.Close()
			}
		}()
	}
	began := time.Now()
	d.worksEverywhere(t)
	took := time.Since(began)
	close(stop)
	for range guessers {
		<-over
	}
	wrong := d.metric(t, `xoauthd_sessions_total{protocol="imap",result="bad_credentials"}`)
	t.Logf("%v sessions of guesses in %v", wrong, took)
	if wrong == 0 {
		t.Error("nobody guessed")
	}
}
