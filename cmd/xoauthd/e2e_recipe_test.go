package main_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/graph"
	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// A recipe is the configuration of Postfix in docs/sending-by-api.md.
type recipe struct {
	lines          string
	port           string // of xoauthd
	user, password string // at xoauthd
}

func readRecipe(t *testing.T) (r recipe) {
	t.Helper()
	text, err := os.ReadFile("../../docs/sending-by-api.md")
	must(t, err)
	_, section, _ := strings.Cut(string(text), "\n## An MTA in front\n")
	_, block, _ := strings.Cut(section, "\n```\n")
	r.lines, _, _ = strings.Cut(block, "```\n")
	m := regexp.MustCompile(`(?s)\[127\.0\.0\.1\]:(\d+)\n.* = static:([^:\s]+):(\S+)\n`).FindStringSubmatch(r.lines)
	if m == nil {
		t.Fatalf("no port, user and password in %q", r.lines)
	}
	r.port, r.user, r.password = m[1], m[2], m[3]
	return r
}

// testFrontPostfix puts a Postfix in front, configured as the documentation says: only the
// port is another one.
func testFrontPostfix(t *testing.T, e *env) {
	r := readRecipe(t)
	e.secrets.add("password of Postfix", r.password)
	api, url := fakeGraph(t, e)
	d := e.newDaemonWith(t, func(c *daemonConfig) {
		c.API = url
		c.Account = fmt.Sprintf("\n[[account.%q.login]]\nlabel = \"postfix\"\nuser = %q\npassword_hash = %q\n",
			c.User, r.user, e.hash(t, "BLF-CRYPT", r.password))
	})
	d.authorize(t)
	lines := strings.Replace(r.lines, ":"+r.port+"\n", fmt.Sprintf(":%d\n", d.smtp), 1)
	f := &front{postfix: newPostfix(t, e, "front", mailServer{Recipe: lines}), d: d, api: api}
	showing(t, f.Log)
	f.start(t)

	f.send(t, apiMessage(d.user, "unchanged")+awkward()+"\r\n", d.user)

	// The message is in the queue while Graph is down.
	api.Fail(mailapi.Fault{Status: 500, Code: "ErrorInternalServerError"})
	f.send(t, apiMessage(d.user, "queued")+"text\r\n", d.user)
	if !strings.Contains(f.log(t), "status=deferred") {
		t.Error("Postfix deferred nothing")
	}

	// Postfix would send to 50 recipients at once, and then to the others.
	deferred := strings.Count(f.log(t), "status=deferred")
	var to []string
	for i := range 60 {
		to = append(to, fmt.Sprintf("recipient%02d@example.net", i))
	}
	message := strings.Replace(apiMessage(d.user, "to many"), "To: "+d.user, "To: "+strings.Join(to, ",\r\n "), 1) + "text\r\n"
	f.send(t, message, to...)
	if got := lastMessage(t, api).Recipients; !slices.Equal(got, to) {
		t.Errorf("%d recipients: %q", len(got), got)
	}
	if strings.Contains(f.log(t), "status=bounced") || strings.Count(f.log(t), "status=deferred") != deferred {
		t.Error("Postfix bounced or deferred the message to many recipients")
	}
}

// A front is a Postfix in front of a daemon that sends through Graph.
type front struct {
	*postfix
	d   *daemon
	api *graph.Server
	to  int // recipients so far
}

// send has Postfix send a message. The API must receive it once, and unchanged below the
// trace field.
func (f *front) send(t *testing.T, message string, to ...string) {
	t.Helper()
	before := len(f.api.Messages())
	args := []string{"--silent", "--show-error", "--url", "smtp://" + address(f.Port), "--mail-from", f.d.user, "--upload-file", "-"}
	for _, recipient := range to {
		args = append(args, "--mail-rcpt", recipient)
	}
	f.d.run(t, command{stdin: message}, "curl", args...)
	f.to += len(to)
	poll(t, "the message of Postfix", func() bool {
		log := f.log(t)
		return strings.Count(log, "status=sent")+strings.Count(log, "status=bounced") >= f.to
	})
	if n := len(f.api.Messages()) - before; n != 1 {
		t.Fatalf("%d messages have arrived, want 1", n)
	}
	trace, rest, _ := strings.Cut(string(lastMessage(t, f.api).Delivered), "\r\nFrom: ")
	if !strings.HasPrefix(trace, "Received: ") {
		t.Errorf("the trace field: %q", trace)
	}
	compare(t, "through Postfix", "From: "+rest, message)
}
