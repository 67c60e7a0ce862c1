package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plainResponse is the response of the mail client to AUTH PLAIN.
var plainResponse = base64.StdEncoding.EncodeToString([]byte("\x00" + targetAccount + "\x00" + targetPassword))

// TestHalfClose sends a whole dialogue in one segment and half-closes, as scripts do:
// each command is answered, whatever the server does after QUIT.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	var server *submission
	d := newTarget(t, func(c *targetConfig) { server = newSubmission(t, c) })
	for i := range 5 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.smtp))
		must(t, err)
		c.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = fmt.Fprintf(c, "EHLO x\r\nAUTH PLAIN %s\r\nMAIL FROM:<%s>\r\nRCPT TO:<ann@example.net>\r\nBDAT 7 LAST\r\nhello%dQUIT\r\n", plainResponse, targetAccount, i+10)
		must(t, err)
		must(t, c.(*net.TCPConn).CloseWrite())
		said, err := io.ReadAll(c)
		c.Close()
		if !strings.HasSuffix(string(said), "235 in\r\n250 ok\r\n250 ok\r\n250 taken\r\n221 bye\r\n") || err != nil {
			t.Errorf("%q, %v", said, err)
		}
	}
	if got := server.received(); len(got) != 5 {
		t.Errorf("received %q", got)
	}
	for protocol, said := range map[string]string{
		strconv.Itoa(d.imap): "a LOGIN alice@example.com wrong\r\n",
		strconv.Itoa(d.smtp): "HELO x\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHdyb25n\r\n",
	} {
		c, err := net.Dial("tcp", "127.0.0.1:"+protocol)
		must(t, err)
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, said)
		must(t, c.(*net.TCPConn).CloseWrite())
		heard, err := io.ReadAll(c)
		c.Close()
		if !strings.Contains(string(heard), "unknown user name or wrong password") || err != nil {
			t.Errorf("%q was answered %q, %v", said, heard, err)
		}
	}
}

// A mta is a real MTA that sends through xoauthd. .ci/install-packages has unpacked it,
// and it has an /etc of its own.
type mta struct {
	target  *target
	dir     string // open to its user
	program string
}

func newMTA(t *testing.T, d *target, program string) *mta {
	t.Helper()
	m := &mta{d, filepath.Join(d.dir, program), filepath.Join("/usr/local/lib/xoauthd-test/usr/sbin", program)}
	if _, err := os.Stat(m.program); err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatalf("%v: run .ci/install-packages", err)
		}
		t.Skipf("%v: run .ci/install-packages", err)
	}
	id := credential(t, programUser)
	for _, dir := range []string{"", "etc", "etc/" + program, "spool", "log"} {
		must(t, os.MkdirAll(filepath.Join(m.dir, dir), 0o2775))
		must(t, os.Chmod(filepath.Join(m.dir, dir), 0o2775|os.ModeSetgid))
		must(t, os.Chown(filepath.Join(m.dir, dir), int(id.Uid), int(id.Gid)))
	}
	for _, name := range []string{"passwd", "group", "hosts", "nsswitch.conf"} {
		b, err := os.ReadFile("/etc/" + name)
		must(t, err)
		switch name { // Exim does not start without its user
		case "passwd":
			b = fmt.Appendf(b, "Debian-exim:x:%d:%d::/:/bin/sh\n", id.Uid, id.Gid)
		case "group":
			b = fmt.Appendf(b, "Debian-exim:x:%d:\n", id.Gid)
		}
		must(t, os.WriteFile(filepath.Join(m.dir, "etc", name), b, 0o644))
	}
	return m
}

// write writes a file of the configuration, which only its user may read.
func (m *mta) write(t *testing.T, name, text string, owner int) string {
	t.Helper()
	path := filepath.Join(m.dir, "etc", name)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	must(t, os.Chown(path, owner, 0))
	return path
}

// run runs the program with input until it ends, or at most for a time.
func (m *mta) run(t *testing.T, most time.Duration, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	script := []string{"-m", "sh", "-c", `mount --bind "$0" /etc && exec "$@"`, filepath.Join(m.dir, "etc"), m.program}
	cmd := exec.CommandContext(ctx, "unshare", append(script, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		t.Fatalf("%s %q: %v\n%s", m.program, args, err, out)
	}
	return string(out)
}

const mtaMessage = "From: alice@example.com\nTo: ann@example.net\nSubject: number %d\n\nhello\n"

// TestExim sends messages with Exim, which pipelines QUIT after a message and half-closes.
// Each message must arrive once, and Exim must receive its reply.
func TestExim(t *testing.T) {
	t.Parallel()
	var server *submission
	d := newTarget(t, func(c *targetConfig) { server = newSubmission(t, c) })
	m := newMTA(t, d, "exim4")
	config := m.write(t, "exim4/exim.conf", fmt.Sprintf(`exim_user = mail
exim_group = mail
exim_path = %[5]s
spool_directory = %[1]s/spool
log_file_path = %[1]s/log/%%slog
primary_hostname = client.example
keep_environment =
never_users =
begin routers
smarthost:
  driver = manualroute
  transport = smarthost
  route_list = * 127.0.0.1 byname
  self = send
begin transports
smarthost:
  driver = smtp
  port = %[2]d
  hosts_require_auth = *
  hosts_avoid_tls = *
begin retry
* * F,1h,1m
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^%[3]s^%[4]s
`, m.dir, d.smtp, targetAccount, targetPassword, m.program), 0) // Exim wants it to be of root
	for i := range 5 {
		m.run(t, time.Minute, fmt.Sprintf(mtaMessage, i), "-C", config, "-odq", "-f", targetAccount, "ann@example.net")
		m.run(t, time.Minute, "", "-C", config, "-qf")
	}
	log, err := os.ReadFile(filepath.Join(m.dir, "log", "mainlog"))
	must(t, err)
	if n := strings.Count(string(log), " => ann@example.net "); n != 5 || strings.Contains(string(log), " == ") {
		t.Errorf("%d messages were delivered:\n%s", n, log)
	}
	if queue := m.run(t, time.Minute, "", "-C", config, "-bp"); queue != "" {
		t.Errorf("in the queue: %s", queue)
	}
	exactly(t, server, 5)
}

// exactly checks that the server has received n messages, each once.
func exactly(t *testing.T, server *submission, n int) {
	t.Helper()
	got := server.received()
	all := strings.Join(got, "")
	for i := range n {
		if c := strings.Count(all, fmt.Sprintf("Subject: number %d\r\n", i)); c != 1 {
			t.Errorf("message %d arrived %d times", i, c)
		}
	}
	if len(got) != n {
		t.Errorf("%d messages arrived", len(got))
	}
}

// TestDMA sends messages with dma, which continues after a failed login. It must keep the
// message after a temporary failure, and deliver it later.
func TestDMA(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		breaks func(t *testing.T, d *target, s *submission) (mend func())
		log    string // the result of the session that fails
	}{
		{"the mail server is down", func(t *testing.T, d *target, s *submission) func() {
			s.ln.Close()
			return func() {
				ln, err := net.Listen("tcp", s.ln.Addr().String())
				must(t, err)
				s.start(t, ln)
			}
		}, "result=upstream_down"},
		{"the account is not authorized", func(t *testing.T, d *target, s *submission) func() {
			d.stop(t)
			grants, err := filepath.Glob(filepath.Join(d.state, "*"+targetAccount+"*"))
			must(t, err)
			if len(grants) != 1 {
				t.Fatalf("the grant is not one of %q", grants)
			}
			must(t, os.Rename(grants[0], filepath.Join(d.dir, "grant")))
			d.start(t, 0)
			return func() {
				d.stop(t)
				must(t, os.Rename(filepath.Join(d.dir, "grant"), grants[0]))
				d.start(t, 0)
			}
		}, "result=needs_authorization"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var server *submission
			d := newTarget(t, func(c *targetConfig) { server = newSubmission(t, c) })
			m := newMTA(t, d, "dma")
			owner := int(credential(t, programUser).Uid)
			m.write(t, "dma/auth.conf", fmt.Sprintf("%s|127.0.0.1:%s\n", targetAccount, targetPassword), owner)
			m.write(t, "dma/dma.conf", fmt.Sprintf("SMARTHOST 127.0.0.1\nPORT %d\nAUTHPATH /etc/dma/auth.conf\nSPOOLDIR %s/spool\nMAILNAME client.example\nINSECURE\nDEFER\n", d.smtp, m.dir), owner)

			mend := test.breaks(t, d, server)
			m.run(t, time.Minute, fmt.Sprintf(mtaMessage, 0), "-f", targetAccount, "ann@example.net")
			m.run(t, 5*time.Second, "", "-D", "-q") // it would wait for five minutes and try again
			d.waitFor(t, test.log, func() bool { return strings.Contains(d.log.String(), test.log) })
			if queue := m.run(t, time.Minute, "", "-bp"); !strings.Contains(queue, "ann@example.net") || strings.Contains(queue, "MAILER-DAEMON") {
				t.Fatalf("in the queue: %s", queue)
			}
			mend()
			m.run(t, time.Minute, "", "-D", "-q")
			if queue := m.run(t, time.Minute, "", "-bp"); strings.Contains(queue, "ann@example.net") {
				t.Errorf("in the queue: %s", queue)
			}
			exactly(t, server, 1)
		})
	}
}
