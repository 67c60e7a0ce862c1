package main_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// A way is how a client begins TLS.
type way string

const (
	never    way = "never"
	starttls way = "starttls"
	implicit way = "implicit"
)

// A mode is a combination of a listener's TLS keys.
type mode struct {
	name string // in docs/listeners-and-tls.md
	keys string
	ways []way // in which a client may log in
}

func modes() []mode {
	return []mode{
		{"`none`", `tls = "none"`, []way{never}},
		{"`starttls`", `tls = "starttls"`, []way{never, starttls}},
		{"`starttls`, required", "tls = \"starttls\"\nrequire_tls = true", []way{starttls}},
		{"`implicit`", `tls = "implicit"`, []way{implicit}},
		{"`auto`", `tls = "auto"`, []way{never, starttls, implicit}},
		{"`auto`, required", "tls = \"auto\"\nrequire_tls = true", []way{starttls, implicit}},
	}
}

// protocols are the client protocols.
var protocols = []string{"imap", "smtp", "pop3"}

// mechanisms lists the ways to log in by protocol. Those in backquotes are commands, the
// others are SASL mechanisms.
var mechanisms = map[string][]string{
	"imap": {"PLAIN", "LOGIN", "`LOGIN`"},
	"smtp": {"PLAIN", "LOGIN"},
	"pop3": {"PLAIN", "LOGIN", "`USER`"},
}

// port returns the port of the daemon's listener for a protocol.
func (d *daemon) port(protocol string) int {
	return map[string]int{"imap": d.imap, "smtp": d.smtp, "pop3": d.pop3}[protocol]
}

// listenerPorts has the port of each protocol.
type listenerPorts map[string]int

// through returns a copy of d whose clients connect to ports and begin TLS in way w.
func (d *daemon) through(ports listenerPorts, w way) *daemon {
	other := *d
	other.imap, other.smtp, other.pop3, other.way = ports["imap"], ports["smtp"], ports["pop3"], w
	return &other
}

// listeners returns the configuration of one listener for each protocol, and their ports.
func (e *env) listeners(t *testing.T, keys string) (tables string, ports listenerPorts) {
	ports = make(listenerPorts)
	for _, protocol := range protocols {
		ports[protocol] = e.freePort(t)
		tables += fmt.Sprintf("[[listener]]\nprotocol = %q\naddress = \"localhost:%d\"\n%s\n\n", protocol, ports[protocol], keys)
	}
	return tables, ports
}

// certificate writes a server certificate, and returns its configuration.
func (e *env) certificate(t *testing.T, name string, names ...string) string {
	certificate, err := e.ca.Issue(names...)
	must(t, err)
	cert, key, err := ca.Encode(certificate)
	must(t, err)
	must(t, os.WriteFile(e.path(name+".pem"), cert, 0o644))
	must(t, os.WriteFile(e.path(name+".key"), key, 0o600))
	return fmt.Sprintf("[[certificate]]\nfile = %q\nkey_file = %q\n\n", e.path(name+".pem"), e.path(name+".key"))
}

// testListenerModes logs in with every protocol, listener mode, way to begin TLS and
// mechanism: the table of docs/listeners-and-tls.md. Where TLS is required, logins without
// TLS must fail.
func testListenerModes(t *testing.T, e *env) {
	tables := e.certificate(t, "listener", "localhost", "127.0.0.1")
	var all []listenerPorts
	for _, m := range modes() {
		more, ports := e.listeners(t, m.keys)
		tables += more
		all = append(all, ports)
	}
	d := e.newDaemonWith(t, func(c *daemonConfig) { c.Listeners = tables })
	d.authorize(t)
	sent := 0
	for i, m := range modes() {
		for _, by := range m.ways {
			d := d.through(all[i], by)
			for _, protocol := range protocols {
				for _, mechanism := range mechanisms[protocol] {
					t.Run(fmt.Sprintf("%s, tls = %s, TLS by %s, %s", protocol, m.name, by, mechanism), func(t *testing.T) {
						d.comesIn(t, protocol, mechanism)
					})
					if protocol == "smtp" {
						sent++
					}
				}
			}
		}
	}
	d.delivered(t, d.user, sent)
	for i, m := range modes() {
		if m.ways[0] == starttls {
			d.through(all[i], never).mustBeginTLS(t)
		}
	}
	// The log says that a client does not trust the certificate.
	r := d.try(t, command{}, "curl", "--silent", "--user", "a:b", "--url", d.through(all[3], implicit).url("imap"))
	if r.status != 60 { // of the peer's certificate
		t.Errorf("curl without the CA: exit status %d", r.status)
	}
	poll(t, "a word in the log", func() bool {
		return strings.Contains(d.logged(t), "does not trust the certificate of the listener")
	})
	document, err := os.ReadFile("../../docs/listeners-and-tls.md")
	must(t, err)
	if !strings.Contains(string(document), listenerTable()) {
		t.Errorf("docs/listeners-and-tls.md does not have this table:\n%s", listenerTable())
	}
}

// comesIn logs in with a mechanism, and runs a command that needs a login.
func (d *daemon) comesIn(t *testing.T, protocol, mechanism string) {
	if strings.HasPrefix(mechanism, "`") { // curl has no option for these
		d.enter(t, protocol).play(map[string][]step{
			"imap": {{"a LOGIN " + d.user + " " + quote(d.password), "a OK "}, {"b SELECT INBOX", "b OK "}, {"c LOGOUT", "c OK "}},
			"pop3": {{"USER " + d.user, "+OK"}, {"PASS " + d.password, "+OK"}, {"STAT", "+OK "}, {"QUIT", "+OK"}},
		}[protocol])
		return
	}
	options := []string{"--login-options", "AUTH=" + mechanism}
	c := command{}
	if protocol == "smtp" {
		options = append(options, "--mail-from", d.user, "--mail-rcpt", d.user, "--upload-file", "-")
		c.stdin = greeting
	}
	r := d.curl(t, c, d.url(protocol), options...)
	if r.status != 0 {
		t.Fatalf("curl: exit status %d\n%s", r.status, shorten(r.stderr))
	}
	contains(t, "what curl said", r.stderr, map[string]string{"imap": "AUTHENTICATE ", "smtp": "AUTH ", "pop3": "AUTH "}[protocol]+mechanism)
	if d.way != never {
		contains(t, "what curl said", r.stderr, "SSL connection using TLSv1.3")
	}
}

// enter connects, begins TLS in the way of d, and reads the greeting. It returns a
// conversation.
func (d *daemon) enter(t *testing.T, protocol string) *conversation {
	t.Helper()
	c := d.dial(t, d.port(protocol))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(d.ca.PEM())
	config := &tls.Config{ServerName: "localhost", RootCAs: roots}
	if d.way == implicit {
		c = newConversation(t, tls.Client(c.conn, config))
	}
	c.line()
	if d.way == starttls {
		c.play([]step{map[string]step{"imap": {"s STARTTLS", "s OK "}, "pop3": {"STLS", "+OK"}}[protocol]})
		c = newConversation(t, tls.Client(c.conn, config))
	}
	return c
}

// mustBeginTLS checks that logins without TLS fail.
func (d *daemon) mustBeginTLS(t *testing.T) {
	plain := "AHgAeA=="
	for protocol, steps := range map[string][]step{
		"imap": {{"a LOGIN joe secret", "a NO [PRIVACYREQUIRED]"}, {"b AUTHENTICATE PLAIN " + plain, "b NO [PRIVACYREQUIRED]"}},
		"smtp": {{"EHLO client.example.com", "250 "}, {"AUTH PLAIN " + plain, "538 5.7.11"}, {"MAIL FROM:<>", "530 5.7.0"}},
		"pop3": {{"USER joe", "-ERR"}, {"PASS secret", "-ERR"}, {"AUTH PLAIN " + plain, "-ERR"}},
	} {
		t.Run(protocol+" requires TLS", func(t *testing.T) {
			c := d.dial(t, d.port(protocol))
			first := c.line()
			if protocol == "imap" {
				contains(t, "greeting", first, "STARTTLS", "LOGINDISABLED")
			}
			c.play(steps)
		})
	}
}

// listenerTable returns the table of docs/listeners-and-tls.md.
func listenerTable() string {
	called := map[way]string{never: "no", starttls: "by STARTTLS", implicit: "at once"}
	row := []string{"", "`tls`", "the client begins TLS"}
	for _, protocol := range protocols {
		row = append(row, strings.ToUpper(protocol))
	}
	table := strings.Join(row, " | ")[1:] + " |\n" + strings.Repeat("|---", len(row)-1) + "|\n"
	for _, m := range modes() {
		for _, by := range m.ways {
			row := []string{"", m.name, called[by]}
			for _, protocol := range protocols {
				row = append(row, strings.Join(mechanisms[protocol], ", "))
			}
			table += strings.Join(row, " | ")[1:] + " |\n"
		}
	}
	return table
}

// testClients logs in with every client, with and without TLS.
func testClients(t *testing.T, e *env) {
	tables := e.certificate(t, "listener", "localhost", "127.0.0.1")
	plain, plainPorts := e.listeners(t, `tls = "none"`)
	required, requiredPorts := e.listeners(t, "tls = \"starttls\"\nrequire_tls = true")
	tls, tlsPorts := e.listeners(t, `tls = "implicit"`)
	simple := rand.Text() // some clients do not accept every character
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.Listeners = tables + plain + required + tls
		hash := e.hash(t, "ARGON2ID", simple)
		c.Account = fmt.Sprintf("\n[[account.%q.login]]\nlabel = \"simple\"\npassword_hash = %q\n", c.User, hash)
	})
	d.authorize(t)
	d.usePassword(t, simple)
	sent := 0
	for by, ports := range map[way]listenerPorts{never: plainPorts, starttls: requiredPorts, implicit: tlsPorts} {
		t.Run("TLS by "+string(by), func(t *testing.T) {
			d := d.through(ports, by)
			d.worksEverywhere(t)
			sent += len(senders())
			for _, c := range []client{
				{"fetchmail, IMAP", fetchmail("imap"), 0},
				{"fetchmail, POP3", fetchmail("pop3"), 0},
				{"getmail, IMAP", getmail("imap"), 0},
				{"getmail, POP3", getmail("pop3"), 0},
			} {
				if by == starttls && strings.HasPrefix(c.name, "getmail") {
					continue // it has no STARTTLS
				}
				if r := c.try(t, d, greeting); r.status != c.fail {
					t.Errorf("%s: exit status %d\n%s", c.name, r.status, shorten(r.stdout+r.stderr))
				}
			}
			if by != never {
				d.typed(t)
			}
			d.delivered(t, d.user, sent)
		})
	}
}

// fetchmail fetches the inbox and pipes each message to a command.
func fetchmail(protocol string) func(*testing.T, *daemon, string) result {
	return func(t *testing.T, d *daemon, _ string) result {
		folder, err := os.MkdirTemp(d.dir, "fetchmail-")
		must(t, err)
		tls := map[way]string{
			never:    `sslproto ""`,
			starttls: "sslproto tls1.2+ sslcertck sslcertfile " + d.path("ca.pem"),
			implicit: "ssl sslcertck sslcertfile " + d.path("ca.pem"),
		}[d.way]
		text := fmt.Sprintf("poll localhost protocol %s service %d auth password user %s password %s %s fetchall keep mda \"cat >> %s/inbox\"\n",
			protocol, d.port(protocol), quote(d.user), quote(d.password), tls, folder)
		file := filepath.Join(folder, "fetchmailrc")
		must(t, os.WriteFile(file, []byte(text), 0o600))
		r := d.try(t, command{env: []string{"FETCHMAILHOME=" + folder}}, "fetchmail", "--fetchmailrc", file, "--verbose", "--nosyslog")
		return fetched(t, r, folder)
	}
}

// fetched returns r, or a failure if the file inbox in folder has no message.
func fetched(t *testing.T, r result, folder string) result {
	t.Helper()
	inbox, err := os.ReadFile(filepath.Join(folder, "inbox"))
	if r.status == 0 && (err != nil || !strings.Contains(string(inbox), "Subject: Hello")) {
		return result{1, r.stdout, r.stderr + "\nnothing was fetched"}
	}
	return r
}

// getmail fetches the inbox and pipes each message to a command.
func getmail(protocol string) func(*testing.T, *daemon, string) result {
	return func(t *testing.T, d *daemon, _ string) result {
		folder, err := os.MkdirTemp(d.dir, "getmail-")
		must(t, err)
		kind := "Simple" + strings.ToUpper(protocol) + "Retriever"
		more := ""
		if d.way == implicit {
			kind = "Simple" + strings.ToUpper(protocol) + "SSLRetriever"
			more = "ca_certs = " + d.path("ca.pem") + "\n"
		}
		text := fmt.Sprintf("[retriever]\ntype = %s\nserver = 127.0.0.1\nport = %d\nusername = %s\npassword_command = (\"cat\", %q)\n%s[destination]\ntype = MDA_external\npath = /bin/sh\narguments = (\"-c\", \"cat >> %s/inbox\")\nallow_root_commands = true\n[options]\nread_all = true\n",
			kind, d.port(protocol), d.user, d.passwordFile(), more, folder)
		must(t, os.WriteFile(filepath.Join(folder, "getmailrc"), []byte(text), 0o600))
		r := d.try(t, command{}, "getmail", "--getmaildir", folder, "--rcfile", "getmailrc")
		return fetched(t, r, folder)
	}
}

// typed logs in by hand with openssl s_client.
func (d *daemon) typed(t *testing.T) {
	for protocol, lines := range map[string]string{
		"imap": "a LOGIN " + d.user + " " + quote(d.password) + "\nb SELECT INBOX\nc LOGOUT\n",
		"pop3": "USER " + d.user + "\nPASS " + d.password + "\nSTAT\nQUIT\n",
	} {
		args := []string{"s_client", "-connect", address(d.port(protocol)), "-CAfile", d.path("ca.pem"),
			"-verify_return_error", "-quiet", "-crlf"}
		if d.way == starttls {
			args = append(args, "-starttls", protocol)
		}
		r := d.try(t, command{stdin: lines}, "openssl", args...)
		contains(t, "s_client", r.stdout, map[string]string{"imap": "b OK ", "pop3": "+OK "}[protocol])
	}
}
