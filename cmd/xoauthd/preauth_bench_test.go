package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/mailhost"
)

// BenchmarkPreAuthClients measures the cost of clients that connect, send something and
// stay connected without logging in: resident memory and CPU time for each, and the
// duration of a login meanwhile. Above limits.sessions, they evict one another.
func BenchmarkPreAuthClients(b *testing.B) {
	halfHello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 245)
	for _, test := range []struct {
		name     string
		clients  int
		sessions int // limits.sessions
		protocol string
		begin    func(net.Conn)
	}{
		{"silent", 10_000, 20_000, "imap", greeted("")},
		{"in_a_line", 10_000, 20_000, "imap", greeted(strings.Repeat("x", 8<<10))},
		{"in_a_literal", 10_000, 20_000, "imap", greeted("a LOGIN {4096+}\r\n" + strings.Repeat("x", 4095))},
		{"in_AUTH", 10_000, 20_000, "imap", greeted("a AUTHENTICATE PLAIN\r\n" + strings.Repeat("x", 12<<10))},
		{"after_EHLO", 10_000, 20_000, "smtp", answered("EHLO x\r\n")},
		{"before_TLS", 10_000, 20_000, "pop3", func(net.Conn) {}},
		{"in_a_handshake", 10_000, 20_000, "pop3", func(c net.Conn) { io.WriteString(c, halfHello) }},
		{"after_a_handshake", 10_000, 20_000, "pop3", secured},
		{"too_many", 10_000, 1000, "imap", greeted("")},
	} {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				d := newFlooded(b, test.sessions)
				rest := d.resident(b)
				d.flood(b, test.clients, test.protocol, test.begin)
				logins := d.logIns(b, 50)
				b.ReportMetric(float64(d.resident(b)-rest)/float64(min(test.clients, test.sessions)), "KiB/client")
				b.ReportMetric(logins[len(logins)/2].Seconds()*1000, "ms/login")
				b.ReportMetric(logins[len(logins)-1].Seconds()*1000, "ms/slowest")
				d.leave(b)
				spent := d.cmd.ProcessState.UserTime() + d.cmd.ProcessState.SystemTime()
				b.ReportMetric(spent.Seconds()*1e6/float64(test.clients), "cpu-µs/client")
			}
		})
	}
}

// greeted reads the greeting and sends sent.
func greeted(sent string) func(net.Conn) {
	return func(c net.Conn) {
		bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, sent)
	}
}

// answered also reads the reply.
func answered(sent string) func(net.Conn) {
	return func(c net.Conn) {
		greeted(sent)(c)
		bufio.NewReader(c).ReadString('\n')
	}
}

// secured begins TLS and reads the greeting.
func secured(c net.Conn) { greeted("")(tls.Client(c, &tls.Config{InsecureSkipVerify: true})) }

// A flooded is a daemon process with many clients.
type flooded struct {
	cmd       *exec.Cmd
	addresses map[string]string // of its listeners, by protocol
	host      *mailhost.Host
	clients   []net.Conn
}

func newFlooded(b *testing.B, sessions int) *flooded {
	d := &flooded{addresses: make(map[string]string)}
	dir := b.TempDir()
	authority, err := ca.New()
	must(b, err)
	certificate, err := authority.Issue("localhost")
	must(b, err)
	d.host = mailhost.New(mailhost.Config{
		Certificate: certificate,
		Check:       func(string) (string, bool) { return alice, true },
		Mailboxes:   []string{alice},
	})
	imap, smtp := listen(b), listen(b)
	shown, key, err := ca.Encode(certificate)
	must(b, err)
	must(b, os.WriteFile(filepath.Join(dir, "localhost.pem"), append(shown, key...), 0o600))
	go d.host.ServeIMAP(imap)
	go d.host.ServeSMTP(smtp)
	hash, err := password.Hash("s3cret")
	must(b, err)
	must(b, os.WriteFile(filepath.Join(dir, "ca.pem"), authority.PEM(), 0o600))
	file := filepath.Join(dir, "xoauthd.toml")
	must(b, os.WriteFile(file, fmt.Appendf(nil, `state_directory = "state"

[[listener]]
protocol = "imap"
address  = "127.0.0.1:0"

[[listener]]
protocol = "smtp"
address  = "127.0.0.1:0"

[[listener]]
protocol = "pop3"
address  = "127.0.0.1:0"
tls      = "implicit"

[[certificate]]
file = "localhost.pem"

[limits]
sessions = %d

[provider.mine]
flow          = "command"
token_command = ["/bin/echo", "t0ken"]
ca_file       = "ca.pem"
imap = { host = "localhost", port = %d }
smtp = { host = "localhost", port = %d }
pop3 = { host = "localhost" }

[account."%s"]
provider      = "mine"
password_hash = "%s"
`, sessions, port(imap), port(smtp), alice, hash), 0o600))
	d.start(b, filepath.Join(dir, "xoauthd"), file)
	return d
}

func listen(b *testing.B) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	return ln
}

func port(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }

// start builds the program, runs it and reads the addresses of its listeners from its log.
func (d *flooded) start(b *testing.B, program, config string) {
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	d.cmd = exec.Command(program, "serve", "-c", config)
	stderr, err := d.cmd.StderrPipe()
	must(b, err)
	must(b, d.cmd.Start())
	lines := bufio.NewScanner(stderr)
	for len(d.addresses) < 3 && lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "msg=listening listener="); ok {
			protocol, address, _ := strings.Cut(rest, " address=")
			d.addresses[protocol], _, _ = strings.Cut(address, " ")
		}
	}
	go io.Copy(io.Discard, stderr) // it logs each eviction
}

// flood connects n clients and runs begin for each.
func (d *flooded) flood(b *testing.B, n int, protocol string, begin func(net.Conn)) {
	const atOnce = 50
	var all sync.WaitGroup
	var mu sync.Mutex
	for range atOnce {
		all.Go(func() {
			for range n / atOnce {
				c, err := net.Dial("tcp", d.addresses[protocol])
				if err != nil {
					b.Error(err)
					return
				}
				begin(c)
				mu.Lock()
				d.clients = append(d.clients, c)
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

// logIns logs in n times and returns the durations in ascending order.
func (d *flooded) logIns(b *testing.B, n int) (took []time.Duration) {
	for range n {
		start := time.Now()
		c, err := net.Dial("tcp", d.addresses["imap"])
		must(b, err)
		fmt.Fprintf(c, "a LOGIN %s s3cret\r\nb LOGOUT\r\n", alice)
		said, err := io.ReadAll(c)
		if !strings.Contains(string(said), "\r\na OK ") {
			b.Fatalf("%q, %v", said, err)
		}
		took = append(took, time.Since(start))
		c.Close()
	}
	slices.Sort(took)
	return took
}

// resident returns the resident memory of the process in KiB.
func (d *flooded) resident(b *testing.B) (kib int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	must(b, err)
	_, rest, _ := strings.Cut(string(status), "\nVmRSS:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib
}

func (d *flooded) leave(b *testing.B) {
	for _, c := range d.clients {
		c.Close()
	}
	must(b, d.cmd.Process.Signal(syscall.SIGTERM))
	must(b, d.cmd.Wait())
	d.host.Close()
}
