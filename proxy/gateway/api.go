package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"
)

// DefaultRequest limits one request to an API, in which 35 MB are sent.
const DefaultRequest = 5 * time.Minute

// maxAnswer limits what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// An api is what deliverers by HTTP have in common.
type api struct {
	name      string // in replies
	client    *http.Client
	hold      time.Duration // for throttling and for the queue
	timeout   time.Duration // for one request
	accepted  int           // the status code of success
	answersID bool          // an answer without an id is no success
	mailbox   func(ctx context.Context, mailbox string) (leave func(), err error)
	failures  []Failure
	request   func(ctx context.Context, m *Message) (*http.Request, error)
	words     func(body []byte) apiWords // of an answer with an error
	id        func(h http.Header, body []byte) string
	grant     func(a *Account) string // the permission that it needs
}

// apiWords are the parts of an error that identify it.
type apiWords struct {
	code    string
	message string
}

// errMaybeSent is the error of a request that broke after all of it was sent.
var errMaybeSent = errors.New("the connection broke after the whole request was sent; the message may have been sent")

// deliver sends m. It obtains another token once if the first is refused, and holds the
// client while the API asks for a pause.
func (a *api) deliver(ctx context.Context, m *Message) Result {
	if a.hold == 0 {
		a.hold = DefaultHold
	}
	end := time.Now().Add(a.hold)
	waiting, cancel := context.WithDeadline(ctx, end)
	leave, err := a.mailbox(waiting, m.Account.Mailbox)
	cancel()
	if err != nil {
		kind := Throttled
		if ctx.Err() != nil {
			kind = Aborted
		}
		err = fmt.Errorf("waiting for other messages of the mailbox: %w", err)
		return Result{Kind: kind, Err: err, Reply: status("451 4.3.2").reply("too many messages of this mailbox are being sent; try again later")}
	}
	defer leave()
	refused := ""
	var refusal Result
	for {
		token, err := m.Account.Token(ctx, refused)
		if err != nil {
			return Result{Kind: TokenUnavailable, Err: fmt.Errorf("access token: %w", err),
				Reply: replyIn(err, status("451 4.7.0").reply("there is no access token for now; try again later"))}
		}
		if token == refused {
			return refusal
		}
		result, pause := a.attempt(ctx, m, token)
		switch {
		case result.Kind == TokenRefused && refused == "":
			refused, refusal = token, result
		case pause > 0 && time.Now().Add(pause).Before(end):
			if sleep(ctx, pause) != nil {
				return result
			}
		default:
			return result
		}
	}
}

// attempt sends one request. pause is the time after which another may succeed; 0 is none.
func (a *api) attempt(ctx context.Context, m *Message, token string) (result Result, pause time.Duration) {
	if a.timeout == 0 {
		a.timeout = DefaultRequest
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) { sent.Store(i.Err == nil) },
	})
	req, err := a.request(ctx, m)
	if err != nil {
		return a.unreachable(err), 0
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", "xoauthd")
	resp, err := a.client.Do(req)
	switch {
	case err != nil && sent.Load():
		return a.maybeSent(fmt.Errorf("%w: %w", errMaybeSent, err), ""), 0
	case err != nil:
		return a.unreachable(err), 0
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status code decides
	id := requestID(a.id(resp.Header, body))
	switch {
	case resp.StatusCode == a.accepted && (id != "" || !a.answersID): // a proxy may answer instead
		return Result{Kind: Accepted, RequestID: id, Reply: status("250 2.0.0").reply("accepted by %s%s", a.name, idText(id))}, 0
	case resp.StatusCode/100 == 2:
		return a.maybeSent(fmt.Errorf("unexpected HTTP status %s; the message may have been sent", resp.Status), id), 0
	}
	result = a.failure(m, resp.StatusCode, a.words(body), id)
	// A server that is overloaded says when to come back. Any other 503 may come from a proxy
	// whose server has accepted the message.
	if result.Kind == Throttled && (resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "") {
		pause = retryAfter(resp.Header, time.Now())
	}
	return result, pause
}

func (a *api) unreachable(err error) Result {
	return Result{Kind: Unavailable, Err: fmt.Errorf("sending to %s: %w", a.name, err),
		Reply: status("451 4.4.1").reply("%s cannot be reached; try again later", a.name)}
}

func (a *api) maybeSent(err error, id string) Result {
	return Result{Kind: MaybeSent, Err: err, RequestID: id,
		Reply: status("451 4.4.2").reply("%s gave no answer; the message may have been sent%s", a.name, idText(id))}
}

// defaultPause is the time to wait if an API throttles without Retry-After.
const defaultPause = 10 * time.Second

// retryAfter returns the time to wait as the header says (RFC 9110 section 10.2.3), at
// least a second.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	pause := defaultPause
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 && seconds < 1<<31 {
		pause = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		pause = at.Sub(now)
	}
	return max(pause, time.Second)
}

// requestID returns id as it may stand in a reply and in a log, or nothing.
func requestID(id string) string {
	for _, c := range id {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return ""
		}
	}
	return id[:min(len(id), 100)]
}

// idText returns an id as part of a reply.
func idText(id string) string {
	if id == "" {
		return ""
	}
	return ", request id " + id
}

// newClient returns an HTTP client for an API. It follows no redirect, as that would send
// the token and the message elsewhere.
func newClient(t http.RoundTripper) *http.Client {
	if t == nil {
		t = http.DefaultTransport
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}
