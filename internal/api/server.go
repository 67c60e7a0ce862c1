package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/xoauthd/xoauthd/internal/panics"
)

// maxBody limits a request's body. A refresh token or the address of a callback is the
// longest text in it.
const maxBody = 64 << 10

// A Backend does the work of a Server. Its errors are an *Error, or their first line says
// what failed. Contexts are done when the client has left, or the server stops.
type Backend interface {
	Status() Status
	Accounts() []Account
	Account(name string) (Account, error)
	Check(ctx context.Context, account string, r CheckRequest, s *Stream) error
	Authorize(ctx context.Context, account string, s *Stream) error
	Import(ctx context.Context, account, refreshToken string, s *Stream) error
	Revoke(ctx context.Context, account string, by User, local bool) (Revocation, error)
}

// A User is the number of a user of this machine.
type User int

// A Server serves the API. Its http.Server must limit connections, headers and the time to
// read a request. The fields must not change after the first request.
type Server struct {
	Backend  Backend
	Version  string // of xoauthd
	Log      *slog.Logger
	Stopping context.Context                   // when it is done, requests in progress end
	User     func(*http.Request) (User, error) // returns the user who sent a request

	slots     slots
	questions sync.Map // channels for answers (chan Answer), by the ID in the path
}

// An endpoint is a method and path of the API.
type endpoint struct {
	pattern string
	kind    string // of the slots; endpoints that take no time share one kind
	serve   serveFunc
}

// A serveFunc serves a request. It returns the response, or nil if it has sent events or there
// is none.
type serveFunc func(ctx context.Context, r *http.Request, s *Stream) (any, error)

// endpoints lists the API.
func (s *Server) endpoints() []endpoint {
	b := s.Backend
	return []endpoint{
		{"GET /v1/status", "status", func(context.Context, *http.Request, *Stream) (any, error) { return b.Status(), nil }},
		{"GET /v1/accounts", "status", func(context.Context, *http.Request, *Stream) (any, error) { return Accounts{b.Accounts()}, nil }},
		{"GET /v1/accounts/{account}", "status", func(_ context.Context, r *http.Request, _ *Stream) (any, error) {
			return b.Account(r.PathValue("account"))
		}},
		{"POST /v1/accounts/{account}/check", "check", decoded(func(ctx context.Context, r *http.Request, in CheckRequest, out *Stream) (any, error) {
			return nil, b.Check(ctx, r.PathValue("account"), in, out)
		})},
		{"POST /v1/accounts/{account}/authorize", "authorize", decoded(func(ctx context.Context, r *http.Request, _ struct{}, out *Stream) (any, error) {
			return nil, b.Authorize(ctx, r.PathValue("account"), out)
		})},
		{"POST /v1/accounts/{account}/import", "import", decoded(func(ctx context.Context, r *http.Request, in ImportRequest, out *Stream) (any, error) {
			if in.RefreshToken == "" {
				return nil, &Error{Status: http.StatusBadRequest, What: "the request has no refresh_token"}
			}
			return nil, b.Import(ctx, r.PathValue("account"), in.RefreshToken, out)
		})},
		{"POST /v1/accounts/{account}/revoke", "revoke", decoded(func(ctx context.Context, r *http.Request, in RevokeRequest, out *Stream) (any, error) {
			return b.Revoke(ctx, r.PathValue("account"), out.user, in.Local)
		})},
		{"POST /v1/answers/{id}", "answer", decoded(func(_ context.Context, r *http.Request, in Answer, _ *Stream) (any, error) {
			answers, ok := s.questions.LoadAndDelete(r.PathValue("id"))
			if !ok {
				return nil, &Error{Status: http.StatusNotFound, What: "xoauthd does not wait for this answer", Hint: "Post each answer once, to the path in the last event."}
			}
			answers.(chan Answer) <- in
			return nil, nil
		})},
	}
}

// Endpoints returns the methods and paths of the API, such as "GET /v1/status".
func Endpoints() []string {
	var all []string
	for _, e := range new(Server).endpoints() {
		all = append(all, e.pattern)
	}
	return all
}

// decoded returns a serveFunc for requests with the body In.
func decoded[In any](serve func(context.Context, *http.Request, In, *Stream) (any, error)) serveFunc {
	return func(ctx context.Context, r *http.Request, out *Stream) (any, error) {
		var in In
		if err := decodeBody(r, &in); err != nil {
			return nil, err
		}
		return serve(ctx, r, in, out)
	}
}

// decodeBody decodes the body of r, unless it is empty. It reads the body to its end, so that
// net/http notices when the client leaves.
func decodeBody(r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &Error{Status: http.StatusRequestEntityTooLarge, What: fmt.Sprintf("the request is longer than %d bytes", maxBody)}
	}
	if err == nil && len(body) > 0 {
		err = decodeStrictly(strings.NewReader(string(body)), v)
	}
	if err != nil {
		return &Error{Status: http.StatusBadRequest, What: "invalid request", Why: err.Error(), Hint: "docs/api.md describes the requests."}
	}
	return nil
}

// decodeStrictly decodes one JSON value without unknown fields, and nothing after it.
func decodeStrictly(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("text after the JSON value")
	}
	return nil
}

// Handler returns the handler of all endpoints.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, e := range s.endpoints() {
		mux.HandleFunc(e.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(e, w, r) })
	}
	unknown := endpoint{kind: "status", serve: func(_ context.Context, r *http.Request, _ *Stream) (any, error) {
		return nil, &Error{Status: http.StatusNotFound, What: fmt.Sprintf("there is no %s %s", r.Method, r.URL.Path), Hint: "docs/api.md lists what there is."}
	}}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.serve(unknown, w, r) })
	return mux
}

// serve serves one request, and logs it.
func (s *Server) serve(e endpoint, w http.ResponseWriter, r *http.Request) {
	w.Header().Set(versionHeader, s.Version)
	out := &Stream{w: w, server: s}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.Stopping, func() { cancel(errStopping) })()
	response, err := s.run(ctx, e, r, out)
	if errors.Is(err, context.Canceled) && s.Stopping.Err() != nil {
		err = errStopping
	}
	attrs := []any{"request", r.Method + " " + r.URL.Path}
	if err != nil {
		attrs = append(attrs, "error", err.Error())
	}
	s.Log.Debug("request served", attrs...)
	out.end(response, err)
}

var errStopping = &Error{Status: http.StatusServiceUnavailable, What: "xoauthd is stopping"}

// run checks the user of a request, takes a slot and runs the endpoint. A panic ends one
// request and not all sessions.
func (s *Server) run(ctx context.Context, e endpoint, r *http.Request, out *Stream) (response any, err error) {
	out.user, err = s.User(r)
	if err == nil {
		err = permit(out.user)
	}
	if err != nil {
		s.Log.Warn("request refused", "request", e.pattern, "error", err.Error())
		return nil, err
	}
	release, err := s.slots.acquire(e.kind, r.PathValue("account"))
	if err != nil {
		return nil, err
	}
	defer release()
	err = panics.Catch(func() error {
		response, err = e.serve(ctx, r, out)
		return err
	})
	if panics.Log(s.Log, err, "request", e.pattern) {
		err = &Error{What: "internal error", Hint: "See the log of xoauthd."}
	}
	return response, err
}

// permit returns an error for all users but root and the daemon's own. The modes of the
// socket and its directory keep other users out, too; this holds if somebody changes them.
func permit(u User) error {
	if u == 0 || int(u) == os.Geteuid() {
		return nil
	}
	return &Error{Status: http.StatusForbidden, What: fmt.Sprintf("user %d may not administer xoauthd", u), Hint: "Use root, or the user that xoauthd runs as."}
}
