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

// A mode is what a listener has TLS for, in the words of the configuration.
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

// protocols are those of a client.
var protocols = []string{"imap", "smtp", "pop3"}

// mechanisms are those with which a client may log in. In backquotes are the
// commands of protocols, which are no mechanisms of SASL.
var mechanisms = map[string][]string{
	"imap": {"PLAIN", "LOGIN", "`LOGIN`"},
	"smtp": {"PLAIN", "LOGIN"},
	"pop3": {"PLAIN", "LOGIN", "`USER`"},
}

// port is that of the daemon's listener for a protocol.
func (d *daemon) port(protocol string) int {
	return map[string]int{"imap": d.imap, "smtp": d.smtp, "pop3": d.pop3}[protocol]
}

// doors are the ports of one mode, by protocol.
type doors map[string]int

// through is d for clients that come in by other doors, in a way.
func (d *daemon) through(ports doors, w way) *daemon {
	other := *d
	other.imap, other.smtp, other.pop3, other.way = ports["imap"], ports["smtp"], ports["pop3"], w
	return &other
}

// doors returns the tables of one listener for each protocol, and their ports.
func (w *world) doors(t *testing.T, keys string) (tables string, ports doors) {
	ports = make(doors)
	for _, protocol := range protocols {
		ports[protocol] = w.freePort(t)
		tables += fmt.Sprintf("[[listener]]\nprotocol = %q\naddress = \"localhost:%d\"\n%s\n\n", protocol, ports[protocol], keys)
	}
	return tables, ports
}

// certificate writes a certificate of a server, and returns its table.
func (w *world) certificate(t *testing.T, name string, names ...string) string {
	certificate, err := w.ca.Issue(names...)
	must(t, err)
	cert, key, err := ca.Encode(certificate)
	must(t, err)
	must(t, os.WriteFile(w.path(name+".pem"), cert, 0o644))
	must(t, os.WriteFile(w.path(name+".key"), key, 0o600))
	return fmt.Sprintf("[[certificate]]\nfile = %q\nkey_file = %q\n\n", w.path(name+".pem"), w.path(name+".key"))
}

// testDoors logs in by every protocol, in every mode of a listener, in every way
// that it allows, with every mechanism: the table of docs/listeners-and-tls.md. Where TLS is required
// it does not get in without.
func testDoors(t *testing.T, w *world) {
	tables := w.certificate(t, "doors", "localhost", "127.0.0.1")
	var all []doors
	for _, m := range modes() {
		more, ports := w.doors(t, m.keys)
		tables += more
		all = append(all, ports)
	}
	d := w.newDaemonWith(t, func(c *daemonConfig) { c.Listeners = tables })
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
	// A client that does not trust the certificate leaves a word in the log.
	r := d.try(t, command{}, "curl", "--silent", "--user", "a:b", "--url", d.through(all[3], implicit).url("imap"))
	if r.status != 60 { // of the peer's certificate
		t.Errorf("curl without the CA: exit status %d", r.status)
	}
	poll(t, "a word in the log", func() bool {
		return strings.Contains(d.logged(t), "does not trust the certificate of the listener")
	})
	document, err := os.ReadFile("../../docs/listeners-and-tls.md")
	must(t, err)
	if !strings.Contains(string(document), doorTable()) {
		t.Errorf("docs/listeners-and-tls.md does not have this table:\n%s", doorTable())
	}
}

// comesIn logs in with a mechanism, and does something that needs it.
func (d *daemon) comesIn(t *testing.T, protocol, mechanism string) {
	if strings.HasPrefix(mechanism, "`") { // which curl cannot be told to use
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

// enter connects, begins TLS in the way of d, and reads the greeting.
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

// mustBeginTLS tries to log in without.
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

// doorTable is the table of docs/listeners-and-tls.md.
func doorTable() string {
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

// testClients has all clients come in, in every way.
func testClients(t *testing.T, w *world) {
	tables := w.certificate(t, "doors", "localhost", "127.0.0.1")
	plain, plainDoors := w.doors(t, `tls = "none"`)
	required, requiredDoors := w.doors(t, "tls = \"starttls\"\nrequire_tls = true")
	tls, tlsDoors := w.doors(t, `tls = "implicit"`)
	simple := rand.Text() // not all of them can be given every password
	d := w.newDaemonWith(t, func(c *daemonConfig) {
		c.Listeners = tables + plain + required + tls
		hash := w.hash(t, "ARGON2ID", simple)
		c.Account = fmt.Sprintf("\n[[account.%q.login]]\nlabel = \"simple\"\npassword_hash = %q\n", c.User, hash)
	})
	d.authorize(t)
	d.usePassword(t, simple)
	sent := 0
	for by, ports := range map[way]doors{never: plainDoors, starttls: requiredDoors, implicit: tlsDoors} {
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

// fetchmail reads the inbox, and gives each message to a program.
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

// fetched is r, unless there is no message in the file inbox of the folder.
func fetched(t *testing.T, r result, folder string) result {
	t.Helper()
	inbox, err := os.ReadFile(filepath.Join(folder, "inbox"))
	if r.status == 0 && (err != nil || !strings.Contains(string(inbox), "Subject: Hello")) {
		return result{1, r.stdout, r.stderr + "\nnothing was fetched"}
	}
	return r
}

// getmail reads the inbox, and gives each message to a program.
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

// typed logs in as a person does who types into openssl s_client.
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
