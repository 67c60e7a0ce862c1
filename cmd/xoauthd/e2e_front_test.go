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

// testUnixSocket connects to unix sockets, which must have the configured owner and mode.
func testUnixSocket(t *testing.T, e *env) {
	file := e.path("imap.sock")
	d := e.newDaemonWith(t, func(c *daemonConfig) {
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

// letsIn reports whether a unix socket or a port greets a client of another local user.
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

// testLocalUsers checks that a listener accepts the clients of one local user only, over
// IPv4 and IPv6.
func testLocalUsers(t *testing.T, e *env) {
	tables, ports := e.listeners(t, `local_users = ["root"]`)
	d := e.newDaemonWith(t, func(c *daemonConfig) { c.Listeners = tables })
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

// testBalancer connects through HAProxy, which sends the client's address by the PROXY
// protocol. The listener must refuse clients that connect from other addresses, even if
// they send a PROXY header.
func testBalancer(t *testing.T, e *env) {
	tables, ports := e.listeners(t, `proxy_protocol = ["127.0.0.1"]`)
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.Listeners = tables
		c.Account = fmt.Sprintf("\n[[account.%q.login]]\nlabel = \"far\"\n%snetworks = [\"127.0.0.7\"]\n", c.User, c.PasswordHash)
		c.PasswordHash = ""
	})
	d.authorize(t)
	far := []string{"--interface", "127.0.0.7"}
	for version, send := range map[string]string{"1": "send-proxy", "2": "send-proxy-v2"} {
		front := e.freePort(t)
		config := e.path("haproxy-" + version + ".cfg")
		must(t, os.WriteFile(config, []byte(fmt.Sprintf("defaults\n mode tcp\n timeout connect 10s\n timeout client 10m\n timeout server 10m\nlisten mail\n bind %s\n server xoauthd %s %s\n",
			address(front), address(ports["imap"]), send)), 0o644))
		e.background(t, front, "haproxy", "-f", config)
		behind := d.through(listenerPorts{"imap": front}, never)
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

// testOutbound connects to the provider and its mail servers through an outbound proxy.
func testOutbound(t *testing.T, e *env) {
	socks, connect := e.freePort(t), e.freePort(t)
	config := e.path("tinyproxy.conf")
	must(t, os.WriteFile(config, []byte(fmt.Sprintf("Port %d\nListen 127.0.0.1\nTimeout 600\nLogFile %q\nMaxClients 50\nAllow 127.0.0.1\nBasicAuth joe pr0xyPassw0rd\n", connect, e.path("tinyproxy.log"))), 0o644))
	e.background(t, socks, "microsocks", "-i", "127.0.0.1", "-p", strconv.Itoa(socks), "-u", "joe", "-P", "pr0xyPassw0rd")
	e.background(t, connect, "tinyproxy", "-d", "-c", config)
	e.secrets.add("proxy password", "pr0xyPassw0rd")
	for scheme, port := range map[string]int{"socks5": socks, "http": connect} {
		t.Run(scheme, func(t *testing.T) {
			d := e.newDaemonWith(t, func(c *daemonConfig) {
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
	log, err := os.ReadFile(e.path("tinyproxy.log"))
	must(t, err)
	contains(t, "what tinyproxy saw", string(log), "CONNECT localhost:"+strconv.Itoa(e.dovecot.Port), "CONNECT localhost:"+strconv.Itoa(e.postfix.Port))
}

// background runs a server until the test ends, and waits until it listens on port.
func (e *env) background(t *testing.T, port int, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	log, err := os.Create(e.path(filepath.Base(name) + ".out"))
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

// hash returns Dovecot's hash of a password.
func (e *env) hash(t *testing.T, scheme, password string) string {
	t.Helper()
	out, err := exec.Command("doveadm", "pw", "-s", scheme, "-p", password).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}

// testLogins configures several logins for a mailbox, with hashes made by other programs.
// One of them has expired.
func testLogins(t *testing.T, e *env) {
	passwords := map[string]string{"scanner": "5canner", "tickets": "t1ckets", "old": "01d-one"}
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		login := "[[account.%q.login]]\nlabel = %q\nuser = %q\npassword_hash = %q\n%s\n"
		c.Account = "\n" +
			fmt.Sprintf(login, c.User, "scanner", "scanner", e.hash(t, "BLF-CRYPT", passwords["scanner"]), `protocols = ["smtp"]`) +
			fmt.Sprintf(login, c.User, "tickets", c.User, e.hash(t, "SHA512-CRYPT", passwords["tickets"]), `networks = ["127.0.0.0/8"]`) +
			fmt.Sprintf(login, c.User, "old", "old", e.hash(t, "SHA512-CRYPT", passwords["old"]), "ends = 2026-01-01")
	})
	for what, password := range passwords {
		e.secrets.add("password of "+what, password)
	}
	d.authorize(t)
	d.worksEverywhere(t) // with the account's password
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

// testNamedMailbox appends the name of a mailbox to the user name.
func testNamedMailbox(t *testing.T, e *env) {
	const info = "info@example.org"
	d := e.newDaemonWith(t, func(c *daemonConfig) {
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
			// For Dovecot, this token does not open other mailboxes.
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

// testQueue limits an account to one session. The second session waits until the first
// ends, or until the queue timeout.
func testQueue(t *testing.T, e *env) {
	d := e.newDaemonWith(t, func(c *daemonConfig) {
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

// testGuesses guesses passwords at a high rate while other clients log in.
func testGuesses(t *testing.T, e *env) {
	d := e.authorized(t)
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
