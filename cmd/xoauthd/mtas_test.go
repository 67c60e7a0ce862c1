//go:build mtas

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
)

// packageDir has the packages of the MTAs, which cannot be installed beside each
// other: .ci/download-mtas downloads each into a folder of its own.
const packageDir = "/var/cache/xoauthd-tests/mtas"

// An mta is a program that queues mail and sends it through the daemon, logging in
// with a login of its own name.
type mta struct {
	name     string
	packages string   // folder below packageDir; empty: installed on this machine
	submit   []string // takes a message from standard input; sender and recipient follow
	queue    []string // runs its queue; nil if the program does so by itself
	serve    []string // is to run all the time, if the program needs that
	user     string   // that runs serve; empty: root
}

func mtas() []mta {
	return []mta{
		{name: "dma", packages: "dma", submit: []string{"dma", "-f"}, queue: []string{"dma", "-q1"}},
		{name: "exim", packages: "exim4-daemon-light", submit: []string{"exim4", "-odb", "-f"}, queue: []string{"exim4", "-qff"}},
		{name: "nullmailer", packages: "nullmailer", submit: []string{"nullmailer-inject", "-f"}, serve: []string{"nullmailer-send"}, user: "mail"},
		{name: "opensmtpd", packages: "opensmtpd", submit: []string{"/opt/sendmail", "-f"}, queue: []string{"smtpctl", "schedule", "all"}, serve: []string{"smtpd", "-d"}},
		{name: "sendmail", packages: "sendmail-bin", submit: []string{"/usr/libexec/sendmail/sendmail", "-Am", "-odb", "-f"}, queue: []string{"/usr/libexec/sendmail/sendmail", "-Am", "-q"}},
		{name: "msmtp", submit: []string{"/usr/libexec/msmtp/msmtpqueue/msmtp-enqueue.sh", "-f"}, queue: []string{"/usr/libexec/msmtp/msmtpqueue/msmtp-runqueue.sh"}},
	}
}

// TestMTAs has MTAs send mail during temporary faults. Each must keep its message, send no
// bounce, and deliver the message once after the fault. Postfix has a test of its own.
func TestMTAs(t *testing.T) {
	requireAll(t)
	e := newEnv(t, buildProgram(t))
	const password = "queue-and-retry"
	e.secrets.add("password of the MTAs", password)
	tables, ports := e.listeners(t, `tls = "starttls"`)
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.Listeners = e.certificate(t, "mtas", "localhost", "127.0.0.1") + tables
		c.Limits = "sessions_per_login = 1\nqueue_timeout = \"1s\"\n"
		for _, m := range mtas() {
			c.Account += fmt.Sprintf("\n[[account.%q.login]]\nlabel = %q\nuser = %q\npassword_hash = %q\n",
				c.User, m.name, m.name, e.hash(t, "BLF-CRYPT", password))
		}
	})
	d.authorize(t)
	var all []*jail
	for _, m := range mtas() {
		j := newJail(t, d, m)
		j.setUp(t, map[string]any{"Port": d.smtp, "TLSPort": ports["smtp"], "User": d.user, "Password": password})
		all = append(all, j)
	}
	var sent []string // subjects
	submit := func(what string) {
		for _, j := range all {
			subject := what + ", " + j.name
			j.submit(t, fmt.Sprintf("From: %s\nTo: %[1]s\nSubject: %s\n\nIt works.\n", d.user, subject))
			sent = append(sent, subject)
		}
	}
	// arrive runs the queues until all messages have arrived once, without a bounce.
	arrive := func() {
		t.Helper()
		var got map[string]int
		missing := func(subject string) bool { return got[subject] == 0 }
		defer func() {
			if i := slices.IndexFunc(sent, missing); t.Failed() && i >= 0 {
				t.Logf("there is no message %q", sent[i])
			}
		}()
		poll(t, fmt.Sprintf("%d messages", len(sent)), func() bool {
			for _, j := range all {
				j.runQueue(t)
			}
			got = subjects(t, d)
			return !slices.ContainsFunc(sent, missing) || got[bounced] > 0
		})
		for subject, n := range got {
			if n != 1 && subject != delayed || !slices.Contains(append(sent, delayed), subject) {
				t.Errorf("%d messages with the subject %q", n, subject)
			}
		}
	}
	submit("no fault")
	arrive()
	for _, fault := range []struct {
		name  string
		begin func() (over func())
	}{
		{"the provider is down", func() func() { d.expire(t); return outage(t, e.provider) }},
		{"the mail server is down", func() func() { return outage(t, e.postfix) }},
		{"the grant was withdrawn", func() func() {
			e.provider.idp.Load().RevokeAll(d.user)
			return func() { d.authorize(t) }
		}},
		{"the client secret is wrong", func() func() {
			d.expire(t)
			over := e.provider.misconfigured(t)
			return func() { // like an administrator: correct the secret and restart
				over()
				d.stop(t)
				d.start(t)
			}
		}},
		{"the login has all its sessions", func() func() {
			var held []*conversation
			for _, j := range all {
				other := *d
				other.user, other.password = j.name, password
				held = append(held, other.logInIMAP(t))
			}
			return func() {
				for _, c := range held {
					c.conn.Close()
				}
			}
		}},
	} {
		// A session that has logged in may take the next message, too.
		poll(t, "the sessions to end", func() bool { return d.metric(t, `xoauthd_active_sessions{protocol="smtp"}`) == 0 })
		over := fault.begin()
		before := make(map[string]float64)
		for _, j := range all {
			before[j.name] = d.refusedLogins(t, j.name)
		}
		submit(fault.name)
		for _, j := range all {
			poll(t, j.name+" to try while "+fault.name, func() bool {
				j.runQueue(t)
				return d.refusedLogins(t, j.name) > before[j.name]
			})
		}
		over()
		arrive()
	}
	d.stop(t)
	submit("the daemon is down")
	for _, j := range all {
		j.runQueue(t)
	}
	d.start(t)
	arrive()
}

const (
	bounced = "Mail delivery failed"                  // dma's
	delayed = "Delivery status notification: delayed" // OpenSMTPD's, which goes on trying
)

// refusedLogins counts the logins of a label that were refused.
func (d *daemon) refusedLogins(t *testing.T, label string) (n float64) {
	t.Helper()
	_, page := d.get(t, d.metrics, "/metrics")
	for line := range strings.Lines(page) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, "xoauthd_logins_total{") && strings.Contains(name, fmt.Sprintf("login=%q", label)) &&
			!strings.Contains(name, `result="ok"`) {
			number, err := strconv.ParseFloat(value, 64)
			must(t, err)
			n += number
		}
	}
	return n
}

// subjects counts the messages of the daemon's mailbox by their subjects.
func subjects(t *testing.T, d *daemon) map[string]int {
	t.Helper()
	all := make(map[string]int)
	for _, file := range d.mail(t, d.user) {
		b, err := os.ReadFile(file)
		must(t, err)
		_, rest, _ := bytes.Cut(b, []byte("\nSubject: "))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		all[strings.TrimRight(string(line), "\r")]++
	}
	return all
}

// A jail is the file system of an MTA: an overlay in a mount namespace with the package
// installed, which receives all writes.
type jail struct {
	mta
	dir    string // in memory
	from   string
	holder *exec.Cmd // has the namespace
	server *exec.Cmd
}

func newJail(t *testing.T, d *daemon, m mta) *jail {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "xoauthd-"+m.name+"-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	j := &jail{mta: m, dir: dir, from: d.user}
	for _, sub := range []string{"package", "upper", "work", "root"} {
		must(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	j.unpack(t)
	const script = `set -e
mount -t overlay overlay -o lowerdir=package:/,upperdir=upper,workdir=work root
mount --rbind /dev root/dev
mount -t proc proc root/proc
mount -t tmpfs -o mode=1777 tmpfs root/tmp
mount -t tmpfs -o mode=755 tmpfs root/run
echo ready
exec sleep 600`
	j.holder = exec.Command("unshare", "--mount", "sh", "-c", script)
	j.holder.Dir = dir
	j.holder.Stderr = os.Stderr
	j.holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := j.holder.StdoutPipe()
	must(t, err)
	must(t, j.holder.Start())
	t.Cleanup(func() {
		j.holder.Process.Kill()
		j.holder.Wait()
	})
	if n, err := out.Read(make([]byte, len("ready\n"))); err != nil {
		t.Fatalf("a mount namespace for %s: %d octets, %v", m.name, n, err)
	}
	return j
}

// unpack unpacks the packages of the MTA. Debian 12 has /bin, /sbin and /lib in
// /usr, which some packages do not.
func (j *jail) unpack(t *testing.T) {
	t.Helper()
	if j.packages == "" {
		return
	}
	root := filepath.Join(j.dir, "package")
	files, err := filepath.Glob(filepath.Join(packageDir, j.packages, "*.deb"))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("there is no package of %s in %s: .ci/download-mtas downloads it", j.name, packageDir)
	}
	for _, file := range files {
		must(t, exec.Command("dpkg", "-x", file, root).Run())
	}
	for _, sub := range []string{"bin", "sbin", "lib"} {
		if info, err := os.Lstat(filepath.Join(root, sub)); err == nil && info.IsDir() {
			must(t, os.MkdirAll(filepath.Join(root, "usr", sub), 0o755))
			must(t, exec.Command("cp", "-a", filepath.Join(root, sub)+"/.", filepath.Join(root, "usr", sub)).Run())
			must(t, os.RemoveAll(filepath.Join(root, sub)))
		}
	}
}

// command returns one that runs in the jail.
func (j *jail) command(user string, args ...string) *exec.Cmd {
	inside := []string{"--mount", "--target", strconv.Itoa(j.holder.Process.Pid), "chroot", filepath.Join(j.dir, "root")}
	if user != "" {
		inside = append(inside, "setpriv", "--reuid", user, "--regid", user, "--clear-groups")
	}
	cmd := exec.Command("nsenter", append(inside, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// setUp configures the MTA, and starts it if it is a daemon.
func (j *jail) setUp(t *testing.T, data any) {
	t.Helper()
	tmpl, err := template.ParseFiles(filepath.Join("testdata/mtas", j.name+".sh"))
	must(t, err)
	var script bytes.Buffer
	must(t, tmpl.Execute(&script, data))
	cmd := j.command("", "sh", "-e")
	cmd.Stdin = &script
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("setting up %s: %v\n%s", j.name, err, out)
	}
	if j.serve == nil {
		return
	}
	log, err := os.Create(filepath.Join(j.dir, "log"))
	must(t, err)
	defer log.Close()
	showing(t, log.Name())
	j.server = j.command(j.user, j.serve...)
	j.server.Stdout, j.server.Stderr = log, log
	must(t, j.server.Start())
	t.Cleanup(func() {
		must(t, j.server.Process.Signal(syscall.SIGTERM))
		j.server.Wait() // with the signal
	})
}

// submit gives the MTA a message. It may take a moment until a server listens.
func (j *jail) submit(t *testing.T, message string) {
	t.Helper()
	var out []byte
	var err error
	t.Cleanup(func() {
		if t.Failed() && err != nil {
			t.Logf("%s: %v\n%s", j.name, err, out)
		}
	})
	poll(t, j.name+" to take a message", func() bool {
		cmd := j.command("", append(j.mta.submit, j.from, j.from)...)
		cmd.Stdin = strings.NewReader(message)
		out, err = cmd.CombinedOutput()
		return err == nil
	})
}

// runQueue makes the MTA retry its whole queue.
func (j *jail) runQueue(t *testing.T) {
	t.Helper()
	if j.queue == nil {
		return
	}
	if out, err := j.command("", j.queue...).CombinedOutput(); err != nil {
		t.Logf("the queue of %s: %v\n%s", j.name, err, out)
	}
}

// misconfigured makes the token endpoint answer as to a wrong client secret, until over is
// called.
func (p *provider) misconfigured(t *testing.T) (over func()) {
	t.Helper()
	p.unknownClient.Store(true)
	over = func() { p.unknownClient.Store(false) }
	t.Cleanup(over)
	return over
}
