package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/xoauthd/xoauthd/internal/step"
)

// ErrNoDaemon is what errors.Is finds if no daemon listens.
var ErrNoDaemon = errors.New("no daemon runs")

var errDaemonEnded = errors.New("the daemon ended before the command did")

// A Client uses the API of a daemon. It is safe for concurrent use.
type Client struct {
	http    http.Client
	version string // of this program
}

// NewClient returns a client that connects by dial. version is that of this program.
func NewClient(version string, dial func(context.Context) (net.Conn, error)) *Client {
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true, // the daemon may close an idle connection when the next request is sent
	}
	return &Client{http.Client{Transport: transport}, version}
}

// Open returns a client of the daemon with a state directory. The errors of its methods are
// ErrNoDaemon if none runs, and fs.ErrPermission if the daemon is another user's.
func Open(stateDirectory, version string) *Client {
	return NewClient(version, func(ctx context.Context) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", SocketPath(stateDirectory))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("%w: %w", ErrNoDaemon, err)
		}
		return conn, err
	})
}

// Status returns the state of the daemon itself.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Accounts returns the state of all accounts.
func (c *Client) Accounts(ctx context.Context) ([]Account, error) {
	var all Accounts
	err := c.call(ctx, http.MethodGet, "/v1/accounts", nil, &all)
	return all.Accounts, err
}

// Account returns the state of an account.
func (c *Client) Account(ctx context.Context, name string) (a Account, err error) {
	return a, c.call(ctx, http.MethodGet, accountPath(name, ""), nil, &a)
}

// Revoke revokes the grant of an account.
func (c *Client) Revoke(ctx context.Context, account string, r RevokeRequest) (out Revocation, err error) {
	return out, c.call(ctx, http.MethodPost, accountPath(account, "/revoke"), r, &out)
}

// Check checks an account, and reports each step when it ends.
func (c *Client) Check(ctx context.Context, account string, r CheckRequest, report func(step.Step)) error {
	return c.stream(ctx, accountPath(account, "/check"), r, func(_ context.Context, e Event) (Answer, error) {
		if e.Step == nil {
			return Answer{}, ErrUnexpected
		}
		report(*e.Step)
		return Answer{}, nil
	})
}

// A Listener receives the events of an authorization, and answers those that need it. Its
// context is done when the daemon waits no longer.
type Listener func(ctx context.Context, e Event) (Answer, error)

// ErrUnexpected is the error of a Listener for an event that it does not know.
var ErrUnexpected = errors.New("the daemon sent an event that this command does not know: restart the daemon")

// Authorize authorizes an account.
func (c *Client) Authorize(ctx context.Context, account string, l Listener) error {
	return c.stream(ctx, accountPath(account, "/authorize"), nil, l)
}

// Import imports a refresh token of another program.
func (c *Client) Import(ctx context.Context, account string, r ImportRequest, l Listener) error {
	return c.stream(ctx, accountPath(account, "/import"), r, l)
}

func accountPath(account, action string) string {
	return "/v1/accounts/" + url.PathEscape(account) + action
}

// call sends a request and decodes the response into out, unless out is nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	r, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if out == nil {
		return nil
	}
	if err := decodeStrictly(r.Body, out); err != nil {
		return c.broken(ctx, r.Header, err)
	}
	return nil
}

// stream sends a request and passes the events of the response to l. It returns the error of
// the daemon, of l or of ctx.
func (c *Client) stream(ctx context.Context, path string, in any, l Listener) error {
	r, err := c.send(ctx, http.MethodPost, path, in)
	if err != nil {
		return err
	}
	defer r.Body.Close() // which ends the request at the daemon
	waiting, stopWaiting := context.WithCancel(ctx)
	defer stopWaiting()
	events, end := make(chan Event), make(chan error, 1)
	go func() {
		err := c.receive(waiting, r, events)
		stopWaiting() // l may be asking a person
		end <- err
	}()
	for {
		select {
		case err := <-end:
			return err
		case e := <-events:
			a, err := l(waiting, e)
			if err == nil && e.Answer != "" {
				err = c.call(waiting, http.MethodPost, e.Answer, a, nil)
			}
			if err != nil && (waiting.Err() == nil || !errors.Is(err, waiting.Err())) { // else the end has the reason
				return err
			}
		}
	}
}

// receive passes on the events of a stream until it ends.
func (c *Client) receive(ctx context.Context, r *http.Response, events chan<- Event) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	for {
		var e Event
		switch err := d.Decode(&e); {
		case err == io.EOF:
			return nil
		case err != nil:
			return c.broken(ctx, r.Header, err)
		case e.Error != nil:
			return e.Error
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send sends a request. It returns an error unless the daemon accepts it.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://xoauthd"+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	r, err := c.http.Do(request)
	if err != nil {
		return nil, c.broken(ctx, nil, errors.Unwrap(err)) // without the URL
	}
	if r.StatusCode < http.StatusBadRequest {
		return r, nil
	}
	defer r.Body.Close()
	var e Error
	if err := decodeStrictly(r.Body, &e); err != nil {
		return nil, c.broken(ctx, r.Header, err)
	}
	e.Status, e.Hint = r.StatusCode, step.Join(e.Hint, "\n", c.versionHint(r.Header))
	return nil, &e
}

// broken returns the error for a response that could not be read.
func (c *Client) broken(ctx context.Context, h http.Header, err error) error {
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &op) && op.Op == "dial":
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return errDaemonEnded
	}
	return &Error{What: "talking to the daemon failed", Why: err.Error(), Hint: c.versionHint(h)}
}

// versionHint returns a hint to restart the daemon if the daemon that sent h has another
// version than this program. It is empty if the versions are the same.
func (c *Client) versionHint(h http.Header) string {
	v := cmp.Or(h.Get(versionHeader), "unknown")
	if v == c.version {
		return ""
	}
	return fmt.Sprintf("The daemon has version %s, and this command version %s: restart the daemon.", v, c.version)
}
