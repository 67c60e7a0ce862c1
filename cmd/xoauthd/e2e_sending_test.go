package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/gmail"
	"github.com/xoauthd/xoauthd/internal/testing/graph"
	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// fakeGraph starts a fake of Microsoft Graph that accepts the tokens of the provider.
func fakeGraph(t *testing.T, e *env) (api *graph.Server, url string) {
	api = new(graph.Server)
	api.Check = e.tokenUser
	return api, serveAPI(t, api)
}

// tokenUser returns the user of an access token of the provider.
func (e *env) tokenUser(token string) (user string, ok bool) {
	return e.provider.idp.Load().User(token)
}

// serveAPI serves a fake of an API, and returns its URL.
func serveAPI(t *testing.T, api http.Handler) (url string) {
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return server.URL
}

// apiMessage returns the header of a message to the user. curl and msmtp do not change it.
func apiMessage(user, subject string) string {
	return fmt.Sprintf("From: %s\r\nTo: %[1]s\r\nSubject: %s\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\n"+
		"Message-ID: <1@example.com>\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\r\n", user, subject)
}

// testSendAPI sends mail with every client. IMAP works beside, and a token that is revoked
// early is replaced.
func testSendAPI(t *testing.T, e *env) {
	api, url := fakeGraph(t, e)
	d := e.newDaemonWith(t, func(c *daemonConfig) { c.API = url })
	d.refusedByAPI(t, "454 4.7.0") // a person has not consented yet
	d.authorize(t)
	d.sendsUnchanged(t, api)
	if r := imaplibRead(t, d, ""); r.status != 0 {
		t.Errorf("IMAP: exit status %d\n%s", r.status, r.stderr)
	}
	api.Revoke(d.accessToken(t))
	e.provider.idp.Load().RevokeAccess(d.accessToken(t))
	d.send(t, apiMessage(d.user, "another token")+"text\r\n")
	api.Fail(mailapi.Fault{Status: 500, Code: "ErrorInternalServerError"})
	d.refusedByAPI(t, "451 4.3.0")
	d.logs(t, `msg="message accepted"`, `msg="message refused"`, "deliverer=graph")
}

func testSendGmail(t *testing.T, e *env) {
	api := new(gmail.Server)
	api.Check = e.tokenUser
	url := serveAPI(t, api)
	d := e.newDaemonWith(t, func(c *daemonConfig) { c.API, c.Gmail = url, true })
	d.authorize(t)
	d.sendsUnchanged(t, api)
	d.logs(t, `msg="message accepted"`, "deliverer=gmail")
}

// A receiver is a fake of an API.
type receiver interface{ Messages() []mailapi.Message }

// sendsUnchanged sends with every client. Recipients receive each message byte for byte,
// including a recipient that only the envelope names.
func (d *daemon) sendsUnchanged(t *testing.T, api receiver) {
	t.Helper()
	for _, c := range senders() {
		message := apiMessage(d.user, c.name) + awkward() + "\r\n"
		if r := c.try(t, d, message); r.status != 0 {
			t.Errorf("%s: exit status %d\n%s", c.name, r.status, r.stderr)
			continue
		}
		compare(t, c.name, string(lastMessage(t, api).Delivered), message)
	}
	const recipient, hidden = "to@example.net", "hidden@example.net"
	for _, c := range composers() {
		before := len(api.Messages())
		message := c.compose(t, d, recipient, hidden)
		got := lastMessage(t, api)
		if len(api.Messages()) != before+1 || !slices.Equal(got.Recipients, []string{recipient, hidden}) {
			t.Errorf("%s: %d messages, the last to %q", c.name, len(api.Messages())-before, got.Recipients)
		}
		compare(t, c.name, string(got.Delivered), message)
	}
}

// refusedByAPI checks that sending is refused with a reply.
func (d *daemon) refusedByAPI(t *testing.T, reply string) {
	t.Helper()
	if r := curlSend(t, d, apiMessage(d.user, "refused")); r.status == 0 || !strings.Contains(r.stderr, "< "+reply) {
		t.Errorf("exit status %d, want the reply %s\n%s", r.status, reply, r.stderr)
	}
}

func lastMessage(t *testing.T, api receiver) mailapi.Message {
	t.Helper()
	all := api.Messages()
	if len(all) == 0 {
		t.Fatal("no message has arrived")
	}
	return all[len(all)-1]
}

// testDevices has a listener without a login send mail by the submission server, and through
// Graph.
func testDevices(t *testing.T, e *env) {
	t.Run("by the submission server", func(t *testing.T) {
		d := e.scanned(t, "")
		d.delivered(t, d.user, 2)
		if got := bodies(t, imaplibRead(t, d, "").stdout)["a scan"]; got != "It works.\r\n" {
			t.Errorf("the body of the message: %q", got)
		}
		d.logs(t, "deliverer=smtp")
	})
	t.Run("through Graph", func(t *testing.T) {
		api, url := fakeGraph(t, e)
		d := e.scanned(t, url)
		got := string(lastMessage(t, api).Delivered)
		for _, want := range []string{"\r\nFrom: " + d.user + "\r\n", "\r\nReply-To: scanner@printer.example\r\n", "\r\n\r\nIt works.\r\n"} {
			if !strings.Contains("\r\n"+got, want) {
				t.Errorf("no %q in %q", want, got)
			}
		}
	})
}

// scanned starts a daemon with a listener for devices, which send two messages. api is the
// URL of a fake of Graph, or empty.
func (e *env) scanned(t *testing.T, api string) *daemon {
	port := e.freePort(t)
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.API = api
		c.Listeners = fmt.Sprintf("[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:%d\"\naccount = %q\nnetworks = [\"127.0.0.1\"]\nrewrite_sender = true\n", port, c.User)
	})
	d.authorize(t)
	message := strings.Replace(apiMessage("scanner@printer.example", "a scan"), "To: scanner@printer.example", "To: "+d.user, 1) + "It works.\r\n"
	for _, from := range []string{"scanner@printer.example", "other@printer.example"} {
		d.run(t, command{stdin: message}, "curl", "--silent", "--show-error", "--url", "smtp://"+address(port),
			"--mail-from", from, "--mail-rcpt", d.user, "--upload-file", "-")
	}
	return d
}
