package authorize

import (
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// callback is where the provider sends the browser.
func (e *endpoint) callback(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		return // from something that looks where a link leads; the code is for the browser
	}
	e.follow(w, r, response{Values: r.URL.Query(), path: pathOf(r.URL)}, nil)
}

// paste takes the address of a callback that led nowhere: the redirect URL is
// the person's own machine, say, and the browser came to a page that does not
// open.
func (e *endpoint) paste(w http.ResponseWriter, r *http.Request) {
	a := e.account(r.PathValue("account"))
	if a == nil {
		e.message(w, http.StatusNotFound, noSuchAccount(e.base+"/"))
		return
	}
	pasted, err := parseResponse(r.PostFormValue("address"))
	switch {
	case errors.Is(err, errNoAddress):
		e.message(w, http.StatusBadRequest, noAddress(a))
	case err != nil:
		e.message(w, http.StatusBadRequest, notAnAnswer(a))
	default:
		e.follow(w, r, pasted, a)
	}
}

// follow completes the attempt that answer is the response to. If only is not nil,
// the attempt must be for that account. It redirects to the page of the result:
// the code must neither be used again when the person reloads, nor stay in the
// address bar.
func (e *endpoint) follow(w http.ResponseWriter, r *http.Request, answer response, only *account) {
	if name := answer.repeated(); name != "" {
		e.message(w, http.StatusBadRequest, repeatedParameter(name, e.base+"/"))
		return
	}
	t, err := e.attempts.take(answer.Get("state"), r, only)
	switch {
	case errors.Is(err, errOtherBrowser):
		o := Outcome{Account: t.account.Name(), Outcome: otherBrowser}
		o.Log(r.Context(), e.log, client(r)...)
		e.message(w, http.StatusForbidden, begunElsewhere(t.account))
		return
	case errors.Is(err, errOtherAccount):
		e.message(w, http.StatusConflict, begunForAnother(only, t.account))
		return
	case errors.Is(err, errUsed):
		e.message(w, http.StatusConflict, usedBefore(e.resultOf(t)))
		return
	case err != nil:
		e.message(w, http.StatusBadRequest, notExpected(e.base+"/"))
		return
	}
	// Not every ResponseWriter has deadlines; then none is in the way.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(workTime + 10*time.Second))

	o := e.guarded(t.account, func() Outcome { return complete(r.Context(), t.account, t.code.verifier, answer) })
	e.attempts.finish(t, o)
	o.Log(r.Context(), e.log, client(r)...)
	e.toResult(w, r, t)
}

// toResult sends the browser to the page that tells what comes of t.
func (e *endpoint) toResult(w http.ResponseWriter, r *http.Request, t *attempt) {
	http.Redirect(w, r, e.resultOf(t), http.StatusSeeOther)
}

// decide takes the answer to whether a grant that opens less shall replace the
// present one.
func (e *endpoint) decide(w http.ResponseWriter, r *http.Request) {
	t, c := e.attempts.decide(r.PathValue("id"), r)
	switch {
	case t == nil:
		e.message(w, http.StatusNotFound, noResult(e.base+"/"))
		return
	case c == nil:
		e.message(w, http.StatusConflict, decidedBefore(e.resultOf(t)))
		return
	}
	o := e.guarded(t.account, func() Outcome {
		if r.PostFormValue("answer") == "replace" {
			return c.Confirm()
		}
		return c.Reject()
	})
	e.attempts.finish(t, o)
	o.Log(r.Context(), e.log, client(r)...)
	e.toResult(w, r, t)
}

// resultOf is the path of the page that tells what comes of t.
func (e *endpoint) resultOf(t *attempt) string { return e.base + resultPath + t.id }

// client tells, for the log, who sent r. Of the URL nothing is told: it has the
// code.
func client(r *http.Request) []slog.Attr {
	by := []slog.Attr{slog.String("client", r.RemoteAddr)}
	if forwarded := r.Header.Get("X-Forwarded-For"); forwarded != "" {
		// Anybody can write this; behind a reverse proxy its last part is true.
		by = append(by, slog.String("forwarded_for", oneLine(forwarded)))
	}
	return by
}
