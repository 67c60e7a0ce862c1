package authorize

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// callback is where the provider sends the browser.
func (e *endpoint) callback(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		return // from something that looks where a link leads; the code is for the browser
	}
	e.follow(w, r, r.URL.Query(), nil)
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
	q, err := answerIn(r.PostFormValue("address"))
	if err != nil {
		e.message(w, http.StatusBadRequest, notAnAnswer(a))
		return
	}
	e.follow(w, r, q, a)
}

// follow goes on with the provider's answer q, which is for the account only, or
// for any if that is nil. It answers with a redirect to the result's page: the code
// must neither be used again when the person reloads, nor stay in the address bar.
func (e *endpoint) follow(w http.ResponseWriter, r *http.Request, q url.Values, only *account) {
	if name := repeated(q); name != "" {
		e.message(w, http.StatusBadRequest, repeatedParameter(name, e.base+"/"))
		return
	}
	t, err := e.attempts.take(q.Get("state"), r, only)
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
		e.message(w, http.StatusConflict, usedBefore(e.base+"/result/"+t.id))
		return
	case err != nil:
		e.message(w, http.StatusBadRequest, notExpected(e.base+"/"))
		return
	}
	// Not every ResponseWriter has deadlines; then none is in the way.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(workTime + 10*time.Second))

	o := e.guarded(t.account, func() Outcome { return complete(r.Context(), t.account, t.code.verifier, q) })
	e.attempts.finish(t, o)
	o.Log(r.Context(), e.log, client(r)...)
	e.toResult(w, r, t)
}

// responseParameters are the parameters of an authorization response that xoauthd
// reads: RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207 section 2.
var responseParameters = []string{"state", "code", "iss", "error", "error_description"}

// repeated returns the first of responseParameters that q has more than once, or
// "". Such a response is invalid (RFC 6749 section 3.1): which value counts would
// depend on the reader.
func repeated(q url.Values) string {
	for _, name := range responseParameters {
		if len(q[name]) > 1 {
			return name
		}
	}
	return ""
}

// toResult sends the browser to the page that tells what comes of t.
func (e *endpoint) toResult(w http.ResponseWriter, r *http.Request, t *attempt) {
	http.Redirect(w, r, e.base+"/result/"+t.id, http.StatusSeeOther)
}

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
