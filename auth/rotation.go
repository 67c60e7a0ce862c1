package auth

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
)

// A rotation is what became of the refresh token in a request. x/oauth2 gives no
// token with an answer that is of no other use, though the server may have put
// another one in the place of that which was sent.
type rotation struct {
	token    string      // in the answer; empty if there is none
	sent     atomic.Bool // the request was, as a whole
	answered bool        // in a way that tells whether there is a token in the answer
}

type rotationKey struct{}

// withRotation returns a context whose request fills in the rotation.
func withRotation(ctx context.Context) (context.Context, *rotation) {
	r := new(rotation)
	return context.WithValue(ctx, rotationKey{}, r), r
}

// rotationOf returns that of a context, or one that nobody looks at.
func rotationOf(ctx context.Context) *rotation {
	if r, ok := ctx.Value(rotationKey{}).(*rotation); ok {
		return r
	}
	return new(rotation)
}

// lost reports whether an answer may have been lost that had a token in it.
func (r *rotation) lost() bool { return r.sent.Load() && !r.answered }

// traced is req, which tells when it was sent.
func (r *rotation) traced(req *http.Request) *http.Request {
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteRequest: func(w httptrace.WroteRequestInfo) {
			if w.Err == nil {
				r.sent.Store(true)
			}
		},
	}))
}

// note looks at an answer. It passes by what is not a success: a failure replaces
// nothing, and what it has in a field of that name may be what was sent, made
// unreadable.
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
		form, err := url.ParseQuery(string(body)) // what can be read of it
		r.token, r.answered = form.Get("refresh_token"), err == nil
	}
}
