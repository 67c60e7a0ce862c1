package daemon

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/doctor"
	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/testing/graph"
	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// A lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// waitFor waits until the log contains text.
func (l *lockedBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(l.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has no %s:\n%s", text, l)
		}
	}
}

// A sendingDaemon sends the messages of two accounts through a fake of Microsoft Graph.
type sendingDaemon struct {
	*Daemon
	api *graph.Server
	log lockedBuffer
}

// newSendingDaemon starts a daemon with a listener for logins, and more listeners. keys are
// those of the provider, by default for a command that prints a token.
func newSendingDaemon(t *testing.T, more, keys string) *sendingDaemon {
	t.Helper()
	d := &sendingDaemon{api: new(graph.Server)}
	d.api.Allow("eyJhbGciOiJub25lIn0.token-of-alice", "alice@example.com")
	server := httptest.NewServer(d.api)
	t.Cleanup(server.Close)
	hash, err := password.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	if keys == "" {
		keys = "flow = \"command\"\ntoken_command = [\"/bin/echo\", \"eyJhbGciOiJub25lIn0.token-of-alice\"]"
	}
	dir := t.TempDir()
	text := fmt.Sprintf(`state_directory = "state"
[[listener]]
protocol = "smtp"
address = "127.0.0.1:0"
%s
[metrics]
address = "127.0.0.1:0"
[provider.graph]
smtp_api = "graph"
smtp_api_url = "%s/v1.0"
%s
[account."alice@example.com"]
provider = "graph"
password_hash = "%s"
[[account."alice@example.com".login]]
label = "scanner"
user = "scanner"
password_hash = "%s"
[account."off@example.com"]
provider = "graph"
password_hash = "%s"
enabled = false
`, more, server.URL, keys, hash, hash, hash)
	file := filepath.Join(dir, "xoauthd.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	d.Daemon, _ = startWith(t, c, slog.New(slog.NewTextHandler(&d.log, nil)))
	return d
}

// address returns the address of the nth listener, from 0.
func (d *sendingDaemon) address(n int) string { return d.listeners[n].Addr().String() }

const testMessage = "From: Alice <alice@example.com>\r\nTo: Bob <bob@example.org>\r\nSubject: Test\r\n\r\nIt works.\r\n"

// TestUnauthorizedMessage checks that a device's message of an account without a grant is
// logged as an error, because only a person can repair that.
func TestUnauthorizedMessage(t *testing.T) {
	d := newSendingDaemon(t, `[[listener]]
protocol = "smtp"
address = "127.0.0.1:0"
account = "alice@example.com"
networks = ["127.0.0.1"]
`, `client_id = "id"
scopes = ["send"]
authorization_url = "http://127.0.0.1:1/"
token_url = "http://127.0.0.1:1/"
redirect_url = "http://localhost"`)
	d.converse(t, 1, "220 ", "HELO x\r\n", "250 ", "MAIL FROM:<a@example.com>\r\n", "250 ", "RCPT TO:<bob@example.org>\r\n", "250 ",
		"DATA\r\n", "354 ", testMessage+".\r\n", "4")
	d.log.waitFor(t, `level=ERROR msg="message refused" account=alice@example.com result=token_unavailable`)
}

// TestListeningLogged checks that the log has a line for each listener.
func TestListeningLogged(t *testing.T) {
	d := newSendingDaemon(t, "[web]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://localhost:1\"", "")
	d.log.waitFor(t, "level=INFO msg=listening listener=smtp address=127.0.0.1:")
	d.log.waitFor(t, "level=INFO msg=listening listener=web address=127.0.0.1:")
	d.log.waitFor(t, "level=INFO msg=listening listener=metrics address=127.0.0.1:")
}

// TestSendThroughGraph sends a message with a login, as any program does.
func TestSendThroughGraph(t *testing.T) {
	d := newSendingDaemon(t, "", "")
	c, err := smtp.Dial(d.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ok, size := c.Extension("SIZE"); !ok || size != "3145728" {
		t.Errorf("SIZE %q", size)
	}
	if err := c.Auth(smtp.PlainAuth("", "alice@example.com", "secret", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := send(c, "alice@example.com", "bob@example.org", "carol@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	got := d.api.Messages()
	if len(got) != 2 || got[0].Mailbox != "alice@example.com" ||
		strings.Join(got[0].Recipients, " ") != "bob@example.org carol@example.org" || string(got[0].Delivered) != testMessage {
		t.Fatalf("%d messages: %q", len(got), got)
	}
	d.log.waitFor(t, `msg="message accepted" account=alice@example.com result=accepted sender=alice@example.com recipients=2 bytes=`)
	if _, page := get(t, d.Daemon, "/metrics"); !strings.Contains(page, `xoauthd_messages_total{deliverer="graph",result="accepted"} 2`) {
		t.Error("the messages are not counted")
	}

	d.api.Fail(mailapi.Fault{Status: 403, Code: "ErrorAccessDenied", Message: "Access is denied."})
	if c, err = smtp.Dial(d.address(0)); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(smtp.PlainAuth("", "scanner", "secret", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := send(c, "alice@example.com", "bob@example.org"); err == nil || !strings.Contains(err.Error(), "Mail.Send") {
		t.Errorf("without the permission: %v", err)
	}
	d.log.waitFor(t, `level=ERROR msg="message refused" account=alice@example.com result=permission_missing`)
	d.log.waitFor(t, " login=scanner ")
	if problems := d.accounts.byName["alice@example.com"].grants.Status().Problems; len(problems) != 1 || !strings.Contains(problems[0].Hint, "Mail.Send") {
		t.Errorf("the status of the account: %+v", problems)
	}
}

// send sends testMessage in one transaction.
func send(c *smtp.Client, from string, to ...string) error {
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, a := range to {
		if err := c.Rcpt(a); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, testMessage); err != nil {
		return err
	}
	return w.Close()
}

// TestDevices has devices send mail without a login.
func TestDevices(t *testing.T) {
	d := newSendingDaemon(t, `[[listener]]
protocol = "smtp"
address = "127.0.0.1:0"
account = "alice@example.com"
networks = ["127.0.0.1"]
senders = ["*@printer.example"]
rewrite_sender = true
[[listener]]
protocol = "smtp"
address = "127.0.0.1:0"
account_by_sender = true
senders = ["*@example.com"]
networks = ["127.0.0.0/8"]
[[listener]]
protocol = "smtp"
address = "127.0.0.1:0"
account = "alice@example.com"
networks = ["192.0.2.0/24"]
`, "")
	t.Run("an old printer", func(t *testing.T) {
		d.converse(t, 1, "220 ", "HELO 192.168.1.7\n", "250 ", "MAIL FROM: scan@printer.example\n", "250 ", "RCPT TO: bob@example.org\n", "250 ",
			"DATA\n", "354 ", "From: Scanner <scan@printer.example>\nTo: bob@example.org\nSubject: Scan\n\nIt works.\n.\n", "250 2.0.0 ",
			"MAIL FROM:<scan@printer.example>\r\n", "250 ", "RSET\r\n", "250 ")
		m := last(d.api.Messages())
		for _, want := range []string{"From: Scanner <alice@example.com>\r\n", "Reply-To: Scanner <scan@printer.example>\r\n", "\r\nDate: ", "\r\nMessage-ID: <", "\r\n\r\nIt works.\r\n"} {
			if !strings.Contains("\r\n"+string(m.Delivered), want) {
				t.Errorf("no %q in %q", want, m.Delivered)
			}
		}
		d.log.waitFor(t, "client=127.0.0.1")
	})
	t.Run("a sender that is not allowed", func(t *testing.T) {
		d.converse(t, 1, "220 ", "HELO x\r\n", "250 ", "MAIL FROM:<x@other.example>\r\n", "550 5.7.1 ")
	})
	t.Run("AUTH", func(t *testing.T) {
		d.converse(t, 1, "220 ", "EHLO x\r\n", "250-", "AUTH LOGIN\r\n", "334 ", "eA==\r\n", "334 ", "eA==\r\n", "235 ", "MAIL FROM:<scan@printer.example>\r\n", "250 ")
	})
	t.Run("AUTH for each message", func(t *testing.T) {
		d.converse(t, 1, "220 ", "EHLO x\r\n", "250-", "MAIL FROM:<scan@printer.example>\r\n", "250 ", "RSET\r\n", "250 ",
			"EHLO x\r\n", "250-", "AUTH PLAIN AGEAYg==\r\n", "235 ", "AUTH LOGIN\r\n", "334 ", "eA==\r\n", "334 ", "eA==\r\n", "235 ")
	})
	t.Run("a space before DATA", func(t *testing.T) {
		d.converse(t, 1, "220 ", "HELO x\r\n", "250 ", "MAIL FROM:<scan@printer.example>\r\n", "250 ", "RCPT TO:<bob@example.org>\r\n", "250 ",
			" DATA\r\n", "354 ", "To: bob@example.org\r\n\r\nAUTH again secret\r\n.\r\n", "250 ")
		if m := last(d.api.Messages()); !strings.Contains(string(m.Delivered), "AUTH again secret\r\n") {
			t.Errorf("delivered: %q", m.Delivered)
		}
	})
	t.Run("the account that MAIL FROM names", func(t *testing.T) {
		d.converse(t, 2, "220 ", "EHLO x\r\n", "250-", "MAIL FROM:<Alice@Example.com>\r\n", "250 ", "RCPT TO:<bob@example.org>\r\n", "250 ",
			"DATA\r\n", "354 ", testMessage+".\r\n", "250 2.0.0 ", "QUIT\r\n", "221 ")
	})
	t.Run("other accounts", func(t *testing.T) {
		for _, sender := range []string{"nobody@example.com", "off@example.com", "", "alice@example.com@evil.example", "\"alice@example.com\"@evil.example", "@evil.example:alice@example.com,x"} {
			d.converse(t, 2, "220 ", "EHLO x\r\n", "250-", "MAIL FROM:<"+sender+">\r\n", "5")
		}
	})
	t.Run("another network", func(t *testing.T) {
		d.converse(t, 3, "554 5.7.1 ")
		d.log.waitFor(t, "result=forbidden")
	})
	t.Run("the log", func(t *testing.T) {
		d.log.waitFor(t, `msg="message refused" result=sender_refused sender=nobody@example.com`)
		d.log.waitFor(t, `error="no account sends as <nobody@example.com>"`)
		if log := d.log.String(); strings.Contains(log, "msg=login ") || strings.Contains(log, `=""`) {
			t.Errorf("a login of a device, or an empty attribute:\n%s", log)
		}
	})
}

func last(all []mailapi.Message) mailapi.Message { return all[len(all)-1] }

// converse has a dialogue with the nth listener: a beginning of a reply, a text to send, and
// so on.
func (d *sendingDaemon) converse(t *testing.T, n int, dialogue ...string) {
	t.Helper()
	c, err := net.Dial("tcp", d.address(n))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	r := textproto.NewReader(bufio.NewReader(c))
	for i, text := range dialogue {
		if i%2 == 1 {
			io.WriteString(c, text)
			continue
		}
		line, err := r.ReadLine()
		if !strings.HasPrefix(line, text) {
			t.Fatalf("reply %q, %v after %q; want %q", line, err, dialogue[:i], text)
		}
		for strings.HasPrefix(text, "250-") && strings.HasPrefix(line, "250-") {
			line, _ = r.ReadLine()
		}
	}
}

// TestSendingToken has a provider whose API needs a token of its own: neither the API nor
// the mail server receives the token of the other.
func TestSendingToken(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-for-%s","token_type":"Bearer","expires_in":3600}`, r.FormValue("scope"))
	}))
	defer tokens.Close()
	d := newSendingDaemon(t, "", `smtp_api_scopes = ["send"]
client_id = "id"
client_secret = "secret"
scopes = ["read"]
token_url = "`+tokens.URL+`"
flow = "client_credentials"`)
	d.api.AppOnly = true
	d.api.Allow("token-for-send", "alice@example.com")
	if token, err := d.accounts.byName["alice@example.com"].Token(t.Context(), ""); token != "token-for-read" || err != nil {
		t.Errorf("for the mail servers: %q, %v", token, err)
	}
	c, err := smtp.Dial(d.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(smtp.PlainAuth("", "alice@example.com", "secret", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := send(c, "alice@example.com", "bob@example.org"); err != nil {
		t.Fatal(err)
	}
	if len(d.api.Messages()) != 1 {
		t.Errorf("%d messages", len(d.api.Messages()))
	}
}

// TestCheckSends checks an account that sends by an API, and sends a test message.
func TestCheckSends(t *testing.T) {
	d := newSendingDaemon(t, "", "")
	subject := d.manager("alice@example.com", nil).subject()
	subject.SendTo = "bob@example.org"
	subject.Listeners[0].Address = d.address(0)
	var steps []string
	if !doctor.Examine(t.Context(), subject, func(s step.Step) {
		steps = append(steps, fmt.Sprintf("%s: %s %s %s", s.Name, s.Outcome, s.Detail, s.Cause))
	}) {
		t.Errorf("%s", strings.Join(steps, "\n"))
	}
	for _, want := range []string{
		"connection to Microsoft Graph: ok 127.0.0.1:",
		"permission to send by Microsoft Graph: ok not verified: only the provider can read the token",
		"test message to bob@example.org: ok 250 2.0.0 accepted by Microsoft Graph, request id ",
	} {
		if !slices.ContainsFunc(steps, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no step %q in:\n%s", want, strings.Join(steps, "\n"))
		}
	}
	if m := last(d.api.Messages()); !strings.Contains(string(m.Raw), "Subject: Test message of xoauthd\r\n") || m.Recipients[0] != "bob@example.org" {
		t.Errorf("%q", m.Raw)
	}
}
