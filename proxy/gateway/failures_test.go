package gateway

import (
	"cmp"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/gmail"
	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// newGmail returns a fake of the Gmail API on loopback, with a gateway in front of it.
func newGmail(t testing.TB) (*fixture, *gmail.Server) {
	fake := &gmail.Server{}
	fake.Allow(firstToken, mailboxName)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	return newFixture(t, &Gmail{BaseURL: server.URL, Hold: 900 * time.Millisecond}), fake
}

func TestGmailDelivery(t *testing.T) {
	f, fake := newGmail(t)
	c := f.connect(t, nil)
	if got := c.say("EHLO client.test", "250"); !strings.HasSuffix(got, "\n250 SIZE 36700160") {
		t.Errorf("EHLO: %q", got)
	}
	got := c.login().transmit(message, "ann@example.net", "bob@example.org")
	if want := "250 2.0.0 accepted by the Gmail API, request id 0000000000000001"; got != want {
		t.Errorf("reply: %q, want %q", got, want)
	}
	m := fake.Messages()
	if len(m) != 1 || string(m[0].Raw) != "Bcc: bob@example.org\r\n"+message || string(m[0].Delivered) != message ||
		strings.Join(m[0].Recipients, " ") != "ann@example.net bob@example.org" {
		t.Errorf("messages: %q", m)
	}
}

// example returns an error of an API that f is for.
func (f Failure) example() mailapi.Fault {
	httpStatus := f.Status
	switch httpStatus {
	case 0:
		httpStatus = 400
		if f.Code == "" {
			httpStatus = 500
		}
	case 4:
		httpStatus = 418
	}
	return mailapi.Fault{Status: httpStatus, Code: f.Code, Message: cmp.Or(f.Message, "Words of the API.")}
}

// TestFailures provokes each error of both tables.
func TestFailures(t *testing.T) {
	try := func(f *fixture, fake interface{ Fail(...mailapi.Fault) }, requests func() int, api string, row int, failure Failure) {
		t.Run(fmt.Sprint(api, "/", row), func(t *testing.T) {
			fault := failure.example()
			fake.Fail(fault)
			got := f.connect(t, nil).login().transmit(message, "ann@example.net")
			if !strings.HasPrefix(got, string(failure.Reply)+" ") || !strings.Contains(got, fault.Message) {
				t.Errorf("reply: %q, want %q", got, failure.Reply)
			}
			if said, _, _ := strings.Cut(failure.Text, "%s"); !strings.Contains(got, said) {
				t.Errorf("reply: %q, want %q", got, said)
			}
			r := f.last(t)
			if r.Result.Kind != failure.Kind || r.Result.Err == nil || r.ReplyText() != got {
				t.Errorf("report: %+v", r)
			}
			if missing := failure.Kind == PermissionMissing; missing != (r.Result.Permission != "") ||
				missing && !strings.Contains(got, r.Result.Permission) {
				t.Errorf("permission: %q in %q", r.Result.Permission, got)
			}
		})
	}
	for i, failure := range GraphFailures {
		f, fake := newGraph(t)
		if try(f, fake, fake.Requests, "graph", i, failure); len(fake.Messages()) > 0 {
			t.Errorf("graph/%d: a message was accepted", i)
		}
	}
	for i, failure := range GmailFailures {
		f, fake := newGmail(t)
		if try(f, fake, fake.Requests, "gmail", i, failure); len(fake.Messages()) > 0 {
			t.Errorf("gmail/%d: a message was accepted", i)
		}
	}
}

// TestFailuresAreReached checks that no row is hidden by an earlier one.
func TestFailuresAreReached(t *testing.T) {
	for name, table := range map[string][]Failure{"graph": GraphFailures, "gmail": GmailFailures} {
		for i, failure := range table {
			e := failure.example()
			for j, earlier := range table[:i] {
				if earlier.matches(e.Status, apiWords{e.Code, e.Message}) {
					t.Errorf("%s: row %d is hidden by row %d", name, i, j)
				}
			}
		}
	}
}

// A permission is named as an administrator finds it.
func TestPermission(t *testing.T) {
	f, fake := newGraph(t)
	fake.Fail(mailapi.Fault{Status: 403, Code: "ErrorAccessDenied", Message: "Access is denied."})
	f.connect(t, nil).login().transmit(message, "ann@example.net")
	if got := f.last(t).Result.Permission; got != "Mail.Send (delegated permission)" {
		t.Errorf("permission: %q", got)
	}
	app := &Graph{AppOnly: true}
	app.begin()
	if got := app.api.grant(nil); got != "Mail.Send (application permission)" {
		t.Errorf("permission: %q", got)
	}
}

// TestGmailNewErrors: newer errors have details instead of reasons.
func TestGmailNewErrors(t *testing.T) {
	f, fake := newGmail(t)
	fake.Fail(mailapi.Fault{Status: 403, Body: `{"error":{"code":403,"message":"Request had insufficient authentication scopes.",
		"status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}}`})
	got := f.connect(t, nil).login().transmit(message, "ann@example.net")
	if !strings.HasPrefix(got, "451 4.7.1 ") || f.last(t).Result.Kind != PermissionMissing {
		t.Error(got)
	}
}

// TestRepliesDocument keeps the tables of the documentation.
func TestRepliesDocument(t *testing.T) {
	var b strings.Builder
	write := func(title string, table []Failure) {
		fmt.Fprintf(&b, "### %s\n\n| HTTP status | error | reply | text | result |\n|---|---|---|---|---|\n", title)
		for _, f := range table {
			httpStatus := fmt.Sprint(f.Status)
			switch f.Status {
			case 0:
				httpStatus = "any"
			case 4:
				httpStatus = "other 4xx"
			}
			code := "any"
			if f.Code != "" {
				code = "`" + f.Code + "`"
			} else if f.Message != "" {
				code = "“" + f.Message + "”"
			}
			if f.Status == 0 && f.Code == "" {
				httpStatus = "5xx and others"
			}
			fmt.Fprintf(&b, "| %s | %s | `%s` | %s | `%s` |\n", httpStatus, code, f.Reply, strings.ReplaceAll(f.Text, "%s", "NAME"), f.Kind)
		}
		b.WriteString("\n")
	}
	write("Microsoft Graph", GraphFailures)
	write("Gmail API", GmailFailures)
	golden(t, "testdata/replies.md", strings.TrimSuffix(b.String(), "\n"))
}
