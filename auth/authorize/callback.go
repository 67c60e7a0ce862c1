package authorize

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/xoauthd/xoauthd/internal/pagepath"
)

// callback handles the redirect URL, to which the provider redirects the browser.
func (e *endpoint) callback(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		return // a link preview must not use the code
	}
	e.completeCallback(w, r, response{Values: r.URL.Query(), path: pathOf(r.URL)}, nil)
}

// paste handles an address that the person has pasted because the redirect URL does not
// lead to these pages, but to the person's own machine, for example.
func (e *endpoint) paste(w http.ResponseWriter, r *http.Request) {
	a := e.account(r.PathValue("account"))
	if a == nil {
		e.message(w, http.StatusNotFound, noSuchAccount(e.base+"/"))
		return
	}
	pasted, err := parseResponse(r.PostFormValue("address"))
	switch {
	case errors.Is(err, errIncomplete):
		e.message(w, http.StatusBadRequest, incompleteAddress(a))
	case err != nil:
		e.message(w, http.StatusBadRequest, notAResponse(a))
	default:
		e.completeCallback(w, r, pasted, a)
	}
}

// completeCallback completes the authorization that answer belongs to. If only is not nil,
// the authorization must be for that account. It redirects the browser to the result
// page, so that the address bar does not keep the code and a reload does not send it
// again.
func (e *endpoint) completeCallback(w http.ResponseWriter, r *http.Request, answer response, only *account) {
	if name := answer.repeated(); name != "" {
		e.message(w, http.StatusBadRequest, repeatedParameter(name, e.base+"/"))
		return
	}
	p, err := e.pending.claim(answer.Get("state"), r, only)
	switch {
	case errors.Is(err, errOtherBrowser):
		result := Result{Account: p.account.Name, Kind: otherBrowser}
		result.Log(r.Context(), e.log, clientAttrs(r)...)
		e.message(w, http.StatusForbidden, startedInOtherBrowser(p.account))
		return
	case errors.Is(err, errOtherAccount):
		e.message(w, http.StatusConflict, startedForOtherAccount(only, p.account))
		return
	case errors.Is(err, errUsed):
		e.message(w, http.StatusConflict, responseAlreadyUsed(e.resultPagePath(p)))
		return
	case err != nil:
		e.message(w, http.StatusBadRequest, unexpectedResponse(e.base+"/"))
		return
	}
	// A ResponseWriter without deadlines returns an error. It needs no extension.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(completeTimeout + 10*time.Second))

	result := e.recoverPanic(p.account, func() Result {
		return complete(r.Context(), p.account.Account, p.codeFlow.verifier, answer)
	})
	e.pending.finish(p, result)
	result.Log(r.Context(), e.log, clientAttrs(r)...)
	e.redirectToResult(w, r, p)
}

// redirectToResult redirects the browser to the result page of p.
func (e *endpoint) redirectToResult(w http.ResponseWriter, r *http.Request, p *pendingAuthorization) {
	http.Redirect(w, r, e.resultPagePath(p), http.StatusSeeOther)
}

// decide handles the decision whether a Candidate replaces the present grant.
func (e *endpoint) decide(w http.ResponseWriter, r *http.Request) {
	p, c := e.pending.decide(r.PathValue("id"), r)
	switch {
	case p == nil:
		e.message(w, http.StatusNotFound, resultGone(e.base+"/"))
		return
	case c == nil:
		e.message(w, http.StatusConflict, alreadyDecided(e.resultPagePath(p)))
		return
	}
	result := e.recoverPanic(p.account, func() Result {
		if r.PostFormValue("answer") == "replace" {
			return c.Confirm()
		}
		return c.Reject()
	})
	e.pending.finish(p, result)
	result.Log(r.Context(), e.log, clientAttrs(r)...)
	e.redirectToResult(w, r, p)
}

// resultPagePath returns the path of the result page of p.
func (e *endpoint) resultPagePath(p *pendingAuthorization) string {
	return e.base + pagepath.Result + p.id
}

// clientAttrs returns the log attributes of the client that sent r. They contain nothing
// of the URL, because it holds the code.
func clientAttrs(r *http.Request) []slog.Attr {
	attrs := []slog.Attr{slog.String("client", r.RemoteAddr)}
	if forwarded := r.Header.Get("X-Forwarded-For"); forwarded != "" {
		// Clients can forge this header. Behind a reverse proxy, its last part is reliable.
		attrs = append(attrs, slog.String("forwarded_for", oneLine(forwarded)))
	}
	return attrs
}
