package authorize

import (
	"context"
	"net/http"
	"time"
)

// askTime bounds how long a person waits for a code to enter elsewhere.
const askTime = 20 * time.Second

// begin is what the button of an account's page does.
func (e *endpoint) begin(w http.ResponseWriter, r *http.Request) {
	a := e.account(r.PathValue("account"))
	switch {
	case a == nil:
		e.message(w, http.StatusNotFound, noSuchAccount(e.base+"/"))
	case !a.Attended():
		e.message(w, http.StatusConflict, needsNobody(a))
	case a.byDevice():
		e.beginDevice(w, r, a)
	case !e.moved(w, r, a, http.StatusSeeOther):
		t := e.enter(w, r, &attempt{account: a, code: Begin(a), life: attemptLife})
		http.Redirect(w, r, t.code.URL(), http.StatusSeeOther)
	}
}

// beginDevice asks the provider for a code, and lets it be waited for in the
// background while the person enters it.
func (e *endpoint) beginDevice(w http.ResponseWriter, r *http.Request, a *account) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	start := time.Now()
	d, err := a.DeviceAuth(ctx)
	if err != nil {
		res := &result{account: a}
		res.step("A code from "+a.Provider(), time.Since(start), err, exchangeHint(err))
		o := res.end(noCode, a.Provider()+" gave no code to enter. Nothing was changed.")
		t := e.enter(w, r, &attempt{account: a, life: attemptLife})
		e.attempts.finish(t, o)
		o.Log(ctx, e.log, client(r)...)
		e.toResult(w, r, t)
		return
	}
	// The account itself ends the wait when the code expires, and a person then
	// still sees that it has. The wait goes on when the request is over.
	life := min(time.Until(d.Expiry), maxDeviceLife) + time.Minute
	wait, drop := context.WithTimeout(context.WithoutCancel(ctx), life)
	t := e.enter(w, r, &attempt{account: a, device: d, drop: drop, life: life + time.Minute})
	by := client(r)
	e.run(func() {
		defer drop()
		g, err := a.AwaitDevice(wait, d)
		e.attempts.answered(t)
		o := completeDevice(wait, a, g, err)
		e.attempts.finish(t, o)
		o.Log(wait, e.log, by...)
	})
	e.toResult(w, r, t)
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
