package oauth

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
)

// A rotation records what happened to the refresh token of a request. x/oauth2 returns no
// token for an invalid answer, although the server may have rotated the refresh token.
type rotation struct {
	token    string      // refresh token in the answer; empty if there is none
	sent     atomic.Bool // the whole request was sent
	answered bool        // the answer says whether it has a token
}

type rotationKey struct{}

// withRotation returns a context whose request records its rotation.
func withRotation(ctx context.Context) (context.Context, *rotation) {
	r := new(rotation)
	return context.WithValue(ctx, rotationKey{}, r), r
}

// rotationOf returns the rotation of a context, or a new one.
func rotationOf(ctx context.Context) *rotation {
	if r, ok := ctx.Value(rotationKey{}).(*rotation); ok {
		return r
	}
	return new(rotation)
}

// lost reports whether an answer with a token may have been lost.
func (r *rotation) lost() bool { return r.sent.Load() && !r.answered }

// traced returns req with a trace that records when it was sent.
func (r *rotation) traced(req *http.Request) *http.Request {
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteRequest: func(w httptrace.WroteRequestInfo) {
			if w.Err == nil {
				r.sent.Store(true)
			}
		},
	}))
}

// note records the refresh token of a successful answer. Other answers do not rotate it, and
// may repeat the sent one in changed form.
func (r *rotation) note(resp *http.Response, fields map[string]json.RawMessage, body []byte) {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		r.answered = true
		return
	}
	contentType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case fields != nil:
		var token string
		if json.Unmarshal(fields["refresh_token"], &token) == nil {
			r.token = token
		}
		r.answered = true
	case contentType == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body)) // as far as it can be parsed
		r.token, r.answered = form.Get("refresh_token"), err == nil
	}
}
