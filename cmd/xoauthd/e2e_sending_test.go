package main_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/graph"
	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// fakeGraph starts a fake of Microsoft Graph that accepts the tokens of the provider.
func fakeGraph(t *testing.T, e *env) (api *graph.Server, url string) {
	api = new(graph.Server)
	api.Check = func(token string) (string, bool) { return e.provider.idp.Load().User(token) }
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return api, server.URL
}

// apiMessage is a message to the user, which curl and msmtp send as it is.
func apiMessage(user, subject string) string {
	return fmt.Sprintf("From: %s\r\nTo: %[1]s\r\nSubject: %s\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\n"+
		"Message-ID: <1@example.com>\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\r\n", user, subject)
}

// testSendAPI sends mail with every client, and through a Postfix in front. Recipients
// receive each message byte for byte, and IMAP works beside.
func testSendAPI(t *testing.T, e *env) {
	api, url := fakeGraph(t, e)
	d := e.newDaemonWith(t, func(c *daemonConfig) { c.API = url })
	d.refusedByAPI(t, "454 4.7.0") // a person has not consented yet
	d.authorize(t)
	for _, c := range senders() {
		message := apiMessage(d.user, c.name) + awkward() + "\r\n"
		if r := c.try(t, d, message); r.status != 0 {
			t.Errorf("%s: exit status %d\n%s", c.name, r.status, r.stderr)
			continue
		}
		compare(t, c.name, string(lastMessage(t, api).Delivered), message)
	}
	if r := imaplibRead(t, d, ""); r.status != 0 {
		t.Errorf("IMAP: exit status %d\n%s", r.status, r.stderr)
	}

	// A token that is revoked early is replaced.
	api.Revoke(d.accessToken(t))
	e.provider.idp.Load().RevokeAccess(d.accessToken(t))
	d.send(t, apiMessage(d.user, "another token")+"text\r\n")

	// Postfix keeps its mail while Graph is down.
	p := d.smarthost(t)
	api.Fail(mailapi.Fault{Status: 500, Code: "ErrorInternalServerError"})
	before := len(api.Messages())
	d.run(t, command{stdin: apiMessage(d.user, "queued") + "text\r\n"}, "curl", "--silent", "--show-error", "--url", "smtp://"+address(p.Port),
		"--mail-from", d.user, "--mail-rcpt", d.user, "--upload-file", "-")
	poll(t, "the message that Postfix has queued", func() bool { return len(api.Messages()) > before })
	if strings.Contains(p.log(t), "status=bounced") || !strings.Contains(p.log(t), "status=deferred") {
		t.Errorf("Postfix:\n%s", p.log(t))
	}
	if n := strings.Count(string(lastMessage(t, api).Delivered), "Subject: queued"); n != 1 {
		t.Errorf("the message of Postfix: %q", lastMessage(t, api).Delivered)
	}
	d.logs(t, `msg="message accepted"`, `msg="message refused"`, "deliverer=graph")
}

// refusedByAPI checks that sending is refused with a reply.
func (d *daemon) refusedByAPI(t *testing.T, reply string) {
	t.Helper()
	if r := curlSend(t, d, apiMessage(d.user, "refused")); r.status == 0 || !strings.Contains(r.stderr, "< "+reply) {
		t.Errorf("exit status %d, want the reply %s\n%s", r.status, reply, r.stderr)
	}
}

func lastMessage(t *testing.T, api *graph.Server) mailapi.Message {
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
