package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// GmailURL is the base URL of the Gmail API.
const GmailURL = "https://gmail.googleapis.com"

// maxGmail is the maximum size of a message in bytes.
const maxGmail = 36700160

// Gmail delivers by the media upload of users.messages.send. Its fields must not change
// after the first use.
type Gmail struct {
	BaseURL    string            // empty is GmailURL
	Transport  http.RoundTripper // nil is http.DefaultTransport
	Hold       time.Duration     // see Graph
	Request    time.Duration     // see Graph
	Recipients int               // the maximum for each message; 0 is 500

	once sync.Once
	api  *api
}

// Traits implements Deliverer.
func (g *Gmail) Traits() Traits {
	return Traits{Name: "gmail", MaxSize: maxGmail, Recipients: cmp.Or(g.Recipients, 500), FromHeader: true}
}

// Deliver implements Deliverer.
func (g *Gmail) Deliver(ctx context.Context, m *Message) Result {
	g.once.Do(g.begin)
	return g.api.deliver(ctx, m)
}

func (g *Gmail) begin() {
	g.api = &api{
		name: "the Gmail API", client: newClient(g.Transport), hold: cmp.Or(g.Hold, DefaultHold),
		timeout: cmp.Or(g.Request, DefaultRequest), accepted: http.StatusOK, answersID: true, failures: GmailFailures,
		mailbox: func(ctx context.Context, _ string) (func(), error) { return func() {}, ctx.Err() },
		request: g.request, words: gmailWords, id: gmailID,
		grant: func(*Account) string { return "https://www.googleapis.com/auth/gmail.send" },
	}
}

func (g *Gmail) request(ctx context.Context, m *Message) (*http.Request, error) {
	address := strings.TrimSuffix(cmp.Or(g.BaseURL, GmailURL), "/") + "/upload/gmail/v1/users/me/messages/send?uploadType=media"
	return newRequest(ctx, address, "message/rfc822", m.Size, func() io.Reader { return m.Open() })
}

// gmailWords returns the reason and the message of an error. Newer errors have a status
// instead of reasons.
func gmailWords(body []byte) apiWords {
	var answer struct {
		Error struct {
			Message, Status string
			Errors          []struct{ Reason string }
			Details         []struct{ Reason string }
		}
	}
	json.Unmarshal(body, &answer) // an answer of a proxy is not JSON
	e := answer.Error
	code := e.Status
	if len(e.Errors) > 0 {
		code = e.Errors[0].Reason
	} else if len(e.Details) > 0 && e.Details[0].Reason != "" {
		code = e.Details[0].Reason
	}
	return apiWords{code, e.Message}
}

// gmailID returns the id of the sent message. The API has no id for requests.
func gmailID(_ http.Header, body []byte) string {
	var answer struct{ ID string }
	json.Unmarshal(body, &answer)
	return answer.ID
}
