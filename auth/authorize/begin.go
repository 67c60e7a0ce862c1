package authorize

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
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
	case !a.Enabled():
		e.message(w, http.StatusConflict, isDisabled(a))
	case !a.Attended():
		e.message(w, http.StatusConflict, needsNobody(a))
	case a.byDevice():
		e.beginDevice(w, r, a)
	case !e.moved(w, r, a, http.StatusSeeOther):
		t, err := e.enter(w, r, &attempt{account: a, code: Begin(a), life: attemptLife, stage: pending})
		if err != nil {
			e.message(w, http.StatusTooManyRequests, noRoom(a))
			return
		}
		http.Redirect(w, r, t.code.URL(), http.StatusSeeOther)
	}
}

// beginDevice asks the provider for a code, and lets it be waited for in the
// background while the person enters it. All of that goes on when the request is
// over: whoever presses the button again leaves the first request.
func (e *endpoint) beginDevice(w http.ResponseWriter, r *http.Request, a *account) {
	wait, drop := context.WithCancel(context.WithoutCancel(r.Context()))
	t := &attempt{account: a, drop: drop, life: maxDeviceLife + 2*time.Minute}
	entered, err := e.enter(w, r, t)
	switch {
	case errors.Is(err, errTooSoon):
		drop()
		w.Header().Set("Retry-After", strconv.Itoa(int(askPause/time.Second)))
		e.message(w, http.StatusTooManyRequests, tooSoon(a))
		return
	case err != nil:
		drop()
		e.message(w, http.StatusTooManyRequests, noRoom(a))
		return
	case entered != t:
		drop()
		e.toResult(w, r, entered)
		return
	}
	asked, answered := context.WithCancel(r.Context())
	by := client(r)
	e.run(func() {
		defer drop()
		defer answered()
		o := e.guarded(a, func() Outcome { return e.device(wait, t, answered) })
		e.attempts.finish(t, o)
		o.Log(wait, e.log, by...)
	})
	<-asked.Done()
	e.toResult(w, r, t)
}

// device goes from the question for a code to what came of it. It calls answered
// once there is a code to be shown.
func (e *endpoint) device(ctx context.Context, t *attempt, answered func()) Outcome {
	a, start := t.account, time.Now()
	ask, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	d, err := a.DeviceAuth(ask)
	if err != nil {
		res := &result{account: a}
		res.step("A code from "+a.Provider(), time.Since(start), err, exchangeHint(err))
		return res.end(noCode, a.Provider()+" gave no code to enter. Nothing was changed.")
	}
	e.attempts.given(t, d)
	answered()
	// The account itself ends the wait when the code expires, and a person then
	// still sees that it has.
	wait, cancel := context.WithTimeout(ctx, min(time.Until(d.Expiry), maxDeviceLife)+time.Minute)
	defer cancel()
	g, err := a.AwaitDevice(wait, d)
	e.attempts.answered(t)
	return completeDevice(wait, a, g, err)
}

// clientAddress is the IP address that r came from.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// enter lets t begin, or gives the one before if the browser that sent r has begun
// that just now. It binds the browser to it.
func (e *endpoint) enter(w http.ResponseWriter, r *http.Request, t *attempt) (*attempt, error) {
	secure := e.byHTTPS(t.account, r)
	t.source = e.source(r)
	t.cookie = plainCookie
	if secure {
		t.cookie = secureCookie
	}
	t, err := e.attempts.begin(t, r)
	if err != nil {
		return nil, err
	}
	http.SetCookie(w, &http.Cookie{
		Name:     t.cookie,
		Value:    t.browser,
		Path:     "/",
		MaxAge:   int((t.life + 2*attemptLife) / time.Second), // to begin, to return, to reload
		HttpOnly: true,
		Secure:   secure,
		SameSite: http.SameSiteLaxMode,
	})
	return t, nil
}
