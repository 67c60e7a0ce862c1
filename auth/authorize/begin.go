package authorize

import (
	"net/http"
	"time"
)

// begin is what the button of an account's page does.
func (e *endpoint) begin(w http.ResponseWriter, r *http.Request) {
	a := e.account(r.PathValue("account"))
	switch {
	case a == nil:
		e.message(w, http.StatusNotFound, noSuchAccount(e.base+"/"))
	case !a.Attended():
		e.message(w, http.StatusConflict, needsNobody(a))
	case !e.moved(w, r, a, http.StatusSeeOther):
		t := e.enter(w, r, &attempt{account: a, code: Begin(a), life: attemptLife})
		http.Redirect(w, r, t.code.URL(), http.StatusSeeOther)
	}
}

// enter lets t begin, and binds it to the browser that sent r.
func (e *endpoint) enter(w http.ResponseWriter, r *http.Request, t *attempt) *attempt {
	secure := e.byHTTPS(t.account, r)
	t.cookie = "xoauthd"
	if secure {
		t.cookie = "__Host-xoauthd" // which no other port and no plain http can set
	}
	e.attempts.begin(t, r)
	http.SetCookie(w, &http.Cookie{
		Name:     t.cookie,
		Value:    t.browser,
		Path:     "/",
		MaxAge:   int((t.life + 2*attemptLife) / time.Second), // to begin, to return, to reload
		HttpOnly: true,
		Secure:   secure,
		SameSite: http.SameSiteLaxMode,
	})
	return t
}
