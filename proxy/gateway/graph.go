package gateway

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// GraphURL is the base URL of Microsoft Graph in the worldwide cloud. Others are
// https://graph.microsoft.us/v1.0, https://dod-graph.microsoft.us/v1.0 and
// https://microsoftgraph.chinacloudapi.cn/v1.0.
const GraphURL = "https://graph.microsoft.com/v1.0"

// maxGraph is the maximum size of a message in bytes: a request has at most 4 MiB, in
// base64.
const maxGraph = 3 << 20

// Graph delivers by the sendMail action of Microsoft Graph. Its fields must not change after
// the first use.
type Graph struct {
	BaseURL   string            // empty is GraphURL
	AppOnly   bool              // the tokens are of an application, not of a person
	Transport http.RoundTripper // nil is http.DefaultTransport

	// Hold is how long a client is held while Graph throttles, or while other messages of
	// the mailbox are sent; 0 is DefaultHold.
	Hold time.Duration

	// Request limits one request; 0 is DefaultRequest.
	Request time.Duration

	// Concurrent is the maximum number of requests at a time for a mailbox; 0 is 4.
	Concurrent int

	// Recipients is the maximum for each message; 0 is 500.
	Recipients int

	once sync.Once
	api  *api
	q    mailboxQueue
}

// Traits implements Deliverer.
func (g *Graph) Traits() Traits {
	return Traits{Name: "graph", MaxSize: maxGraph, Recipients: cmp.Or(g.Recipients, 500), FromHeader: true}
}

// Deliver implements Deliverer.
func (g *Graph) Deliver(ctx context.Context, m *Message) Result {
	g.once.Do(g.begin)
	return g.api.deliver(ctx, m)
}

func (g *Graph) begin() {
	g.api = &api{
		name: "Microsoft Graph", client: newClient(g.Transport), hold: cmp.Or(g.Hold, DefaultHold),
		timeout: cmp.Or(g.Request, DefaultRequest), accepted: http.StatusAccepted, failures: GraphFailures,
		mailbox: func(ctx context.Context, mailbox string) (func(), error) {
			return g.q.enter(ctx, mailbox, cmp.Or(g.Concurrent, 4))
		},
		request: g.request, words: graphWords,
		id: func(h http.Header, _ []byte) string { return h.Get("request-id") },
		grant: func(*Account) string {
			if g.AppOnly {
				return "Mail.Send (application permission)"
			}
			return "Mail.Send (delegated permission)"
		},
	}
}

// request returns the request for m.
func (g *Graph) request(ctx context.Context, m *Message) (*http.Request, error) {
	mailbox := "/me"
	if g.AppOnly {
		mailbox = "/users/" + url.PathEscape(m.Account.Mailbox)
	}
	address := strings.TrimSuffix(cmp.Or(g.BaseURL, GraphURL), "/") + mailbox + "/sendMail"
	size := int64(base64.StdEncoding.EncodedLen(int(m.Size)))
	return newRequest(ctx, address, "text/plain", size, func() io.Reader { return &base64Reader{in: m.Open()} })
}

// newRequest returns a POST request whose body can be sent again.
func newRequest(ctx context.Context, address, contentType string, size int64, body func() io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, io.NopCloser(body()))
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(body()), nil }
	req.Header.Set("Content-Type", contentType)
	return req, nil
}

// graphWords returns the code and the message of an error.
func graphWords(body []byte) apiWords {
	var answer struct {
		Error struct{ Code, Message string }
	}
	json.Unmarshal(body, &answer) // an answer of a proxy is not JSON
	return apiWords{answer.Error.Code, answer.Error.Message}
}

// A base64Reader encodes what it reads (RFC 4648 section 4), without line breaks.
type base64Reader struct {
	in   io.Reader
	raw  [12 << 10]byte // a multiple of 3
	out  [16 << 10]byte
	rest []byte // of out
	err  error
}

func (b *base64Reader) Read(p []byte) (int, error) {
	if len(b.rest) == 0 && b.err == nil {
		var n int
		n, b.err = io.ReadFull(b.in, b.raw[:])
		if b.err == io.ErrUnexpectedEOF {
			b.err = io.EOF
		}
		b.rest = base64.StdEncoding.AppendEncode(b.out[:0], b.raw[:n])
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	if n == 0 && len(p) > 0 {
		return 0, b.err
	}
	return n, nil
}
