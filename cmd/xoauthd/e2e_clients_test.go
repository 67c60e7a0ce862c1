package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A command holds the input and environment of a program.
type command struct {
	stdin string
	env   []string // beside that of the test
}

// A result is the output and exit status of a program.
type result struct {
	status         int
	stdout, stderr string
}

// clientTime limits one run of a client. A message of 50 MB on a slow machine must fit.
const clientTime = 2 * time.Minute

// try runs a program until it exits. The status is -1 if a signal ended it.
func (d *daemon) try(t *testing.T, c command, name string, args ...string) result {
	t.Helper()
	// The test's own context is done when its cleanup begins.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), clientTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
	// Files in the user's home directory must not change the result.
	cmd.Env = append(os.Environ(), append(c.env, "HOME="+d.dir)...)
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(&stderr, "%s: %v\n", name, err)
	}
	if name == "curl" {
		d.keepReplies(stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// keepReplies stores the replies that curl received, for the search for secrets. Lines
// that curl sent contain secrets rightfully.
func (d *daemon) keepReplies(shown string) {
	var heard strings.Builder
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, "< ") {
			heard.WriteString(line)
		}
	}
	d.said[d.dir+" replies"] += heard.String()
}

// run runs a program that must succeed, and returns its output.
func (d *daemon) run(t *testing.T, c command, name string, args ...string) string {
	t.Helper()
	r := d.try(t, c, name, args...)
	if r.status != 0 {
		t.Fatalf("%s: exit status %d\n%s", name, r.status, shorten(r.stderr))
	}
	return r.stdout
}

// A client is a mail program.
type client struct {
	name string
	try  func(t *testing.T, d *daemon, message string) result
	fail int // exit status when the login is refused
}

// senders submit a message to the user of the daemon.
func senders() []client {
	return []client{
		{"curl to SMTP", curlSend, 67},
		{"msmtp with PLAIN", msmtpSend("plain"), 77}, // EX_NOPERM
		{"msmtp with LOGIN", msmtpSend("login"), 77},
		{"smtplib", smtplibSend, 1},
	}
}

// readers print the messages of the inbox, each as a line of base64.
func readers() []client { return append(imapReaders(), pop3Readers()...) }

func imapReaders() []client {
	return []client{
		{"curl to IMAP", curlRead, 67},
		{"mbsync", mbsyncRead, 1},
		{"imaplib", imaplibRead, 1},
	}
}

// curl runs curl, which logs in to url with the user and password of d.
func (d *daemon) curl(t *testing.T, c command, url string, args ...string) result {
	all := append([]string{"--silent", "--verbose", "--url", url, "--user", d.user + ":" + d.password}, args...)
	if d.way != never {
		all = append(all, "--ssl-reqd", "--cacert", d.path("ca.pem"))
	}
	return d.try(t, c, "curl", all...)
}

// url returns the URL of a listener of the daemon.
func (d *daemon) url(protocol string) string {
	scheme := protocol
	if d.way == implicit {
		scheme += "s"
	}
	return scheme + "://" + address(d.port(protocol))
}

// python is Debian's own: another one in PATH may be a slow wrapper, or executable only by
// root.
const python = "/usr/bin/python3"

// python runs one of the clients in Python.
func (d *daemon) python(t *testing.T, c command, script string, port int, recipients ...string) result {
	c.env = append(c.env, "PASSWORD="+d.password, "WAY="+string(d.way), "SSL_CERT_FILE="+d.path("ca.pem"))
	args := append([]string{filepath.Join("testdata/e2e", script), strconv.Itoa(port), d.user}, recipients...)
	return d.try(t, c, python, args...)
}

func curlSend(t *testing.T, d *daemon, message string) result {
	return d.curl(t, command{stdin: message}, d.url("smtp"),
		"--mail-from", d.user, "--mail-rcpt", d.user, "--upload-file", "-")
}

// msmtp expects LF line ends.
func msmtpSend(mechanism string) func(*testing.T, *daemon, string) result {
	return func(t *testing.T, d *daemon, message string) result {
		file := filepath.Join(d.dir, "msmtprc")
		d.write(t, "msmtprc", file, 0o600, map[string]any{
			"Port": d.smtp, "User": d.user, "PasswordFile": d.passwordFile(), "Auth": mechanism,
			"Way": d.way, "CA": d.path("ca.pem"),
		})
		stdin := strings.ReplaceAll(message, "\r\n", "\n")
		return d.try(t, command{stdin: stdin}, "msmtp", "-C", file, d.user)
	}
}

func smtplibSend(t *testing.T, d *daemon, message string) result {
	return d.python(t, command{stdin: message}, "smtp.py", d.smtp, d.user)
}

// curlRead fetches messages one by one until curl reports that there are no more.
func curlRead(t *testing.T, d *daemon, _ string) result {
	var lines strings.Builder
	for i := 1; ; i++ {
		r := d.curl(t, command{}, fmt.Sprintf("%s/INBOX;MAILINDEX=%d", d.url("imap"), i))
		// Exit status 78 means that the message does not exist.
		if r.status != 0 && (r.status != 78 || i == 1) {
			return r
		} else if r.status != 0 {
			return result{stdout: lines.String()}
		}
		fmt.Fprintln(&lines, base64.StdEncoding.EncodeToString([]byte(r.stdout)))
	}
}

// mbsyncRead copies the inbox into a Maildir, with LF line ends.
func mbsyncRead(t *testing.T, d *daemon, _ string) result {
	folder, err := os.MkdirTemp(d.dir, "mbsync-")
	must(t, err)
	file := filepath.Join(folder, "mbsyncrc")
	d.write(t, "mbsyncrc", file, 0o600, map[string]any{
		"Port": d.imap, "User": d.user, "PasswordFile": d.passwordFile(), "Folder": folder,
		"Way": d.way, "CA": d.path("ca.pem"),
	})
	r := d.try(t, command{}, "mbsync", "-c", file, "-a")
	if r.status != 0 {
		return r
	}
	return result{stdout: maildir(t, filepath.Join(folder, "INBOX"))}
}

// maildir returns the messages of a Maildir, each as a line of base64.
func maildir(t *testing.T, folder string) string {
	files, err := filepath.Glob(filepath.Join(folder, "[nc][eu][wr]", "*"))
	must(t, err)
	var lines strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
		fmt.Fprintln(&lines, base64.StdEncoding.EncodeToString(b))
	}
	return lines.String()
}

func imaplibRead(t *testing.T, d *daemon, _ string) result {
	return d.python(t, command{}, "imap.py", d.imap)
}

// send submits a message with curl, the fastest client.
func (d *daemon) send(t *testing.T, message string) {
	t.Helper()
	if r := curlSend(t, d, message); r.status != 0 {
		t.Fatalf("curl: exit status %d\n%s", r.status, r.stderr)
	}
}

// worksEverywhere checks that every client can log in.
func (d *daemon) worksEverywhere(t *testing.T) {
	t.Helper()
	before := len(d.mail(t, d.user))
	clients := senders()
	for _, c := range clients {
		if r := c.try(t, d, greeting); r.status != 0 {
			t.Errorf("%s: exit status %d\n%s", c.name, r.status, shorten(r.stderr))
		}
	}
	d.delivered(t, d.user, before+len(clients))
	for _, c := range readers() {
		if r := c.try(t, d, ""); r.status != 0 {
			t.Errorf("%s: exit status %d\n%s", c.name, r.status, shorten(r.stderr))
		}
	}
}

// greeting is a short message.
const greeting = "Subject: Hello\r\n\r\nIt works.\r\n"

// refusedEverywhere checks that no client can log in. Each must fail with its exit status
// and show the server's reply.
func (d *daemon) refusedEverywhere(t *testing.T, smtp, imap, pop3 []string) {
	t.Helper()
	before := len(d.mail(t, d.user))
	check := func(clients []client, said []string) {
		t.Helper()
		for _, c := range clients {
			r := c.try(t, d, greeting)
			if r.status != c.fail {
				t.Errorf("%s: exit status %d, want %d\n%s", c.name, r.status, c.fail, shorten(r.stderr))
			}
			// msmtp inserts a line break after the reply code.
			text := strings.ReplaceAll(r.stdout+r.stderr, "\n", " ")
			for _, part := range said {
				if !strings.Contains(text, part) {
					t.Errorf("%s: no %q in %s", c.name, part, shorten(text))
				}
			}
		}
	}
	check(senders(), smtp)
	check(imapReaders(), imap)
	check(pop3Readers(), pop3)
	if n := len(d.mail(t, d.user)); n != before {
		t.Errorf("%d messages were delivered", n-before)
	}
}
