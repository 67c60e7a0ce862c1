package authorize

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// deviceAuthTimeout limits the request for a device code, while the person waits.
const deviceAuthTimeout = 20 * time.Second

// start handles the button of an account's page.
func (e *endpoint) start(w http.ResponseWriter, r *http.Request) {
	a := e.account(r.PathValue("account"))
	switch {
	case a == nil:
		e.message(w, http.StatusNotFound, noSuchAccount(e.base+"/"))
	case !a.Enabled:
		e.message(w, http.StatusConflict, accountDisabled(a))
	case !a.Flow.NeedsConsent():
		e.message(w, http.StatusConflict, noConsentNeeded(a))
	case a.usesDeviceCode():
		e.startDevice(w, r, a)
	case !e.redirectToOrigin(w, r, a, http.StatusSeeOther):
		p, err := e.register(w, r, &pendingAuthorization{account: a, codeFlow: NewCodeFlow(a.Account), lifetime: pendingLifetime, stage: awaitingConsent})
		if err != nil {
			e.message(w, http.StatusTooManyRequests, tooManyPending(a))
			return
		}
		http.Redirect(w, r, p.codeFlow.URL(), http.StatusSeeOther)
	}
}

// startDevice requests a device code and polls for it in the background. Both continue
// after the request ends, because a person who presses the button again cancels the
// first request.
func (e *endpoint) startDevice(w http.ResponseWriter, r *http.Request, a *account) {
	poll, cancelPoll := context.WithCancel(context.WithoutCancel(r.Context()))
	p := &pendingAuthorization{account: a, cancelPoll: cancelPoll, lifetime: maxDeviceLifetime + 2*time.Minute}
	registered, err := e.register(w, r, p)
	switch {
	case errors.Is(err, errTooSoon):
		cancelPoll()
		w.Header().Set("Retry-After", strconv.Itoa(int(deviceAuthInterval/time.Second)))
		e.message(w, http.StatusTooManyRequests, tooSoon(a))
		return
	case err != nil:
		cancelPoll()
		e.message(w, http.StatusTooManyRequests, tooManyPending(a))
		return
	case registered != p:
		cancelPoll()
		e.redirectToResult(w, r, registered)
		return
	}
	ready, setReady := context.WithCancel(r.Context())
	client := clientAttrs(r)
	e.background(func() {
		defer cancelPoll()
		defer setReady()
		result := e.recoverPanic(a, func() Result { return e.deviceFlow(poll, p, setReady) })
		e.pending.finish(p, result)
		result.Log(poll, e.log, client...)
	})
	<-ready.Done()
	e.redirectToResult(w, r, p)
}

// deviceFlow runs the device flow of p (RFC 8628) and returns its result. It calls
// setReady once there is a code to show.
func (e *endpoint) deviceFlow(ctx context.Context, p *pendingAuthorization, setReady func()) Result {
	a, start := p.account, time.Now()
	waiting, cancel := a.Shutdown.UntilBegun(ctx)
	defer cancel()
	request, cancel := context.WithTimeout(waiting, deviceAuthTimeout)
	defer cancel()
	d, err := a.Client.DeviceAuth(request)
	if err != nil {
		res := &resultBuilder{account: a.Account}
		res.addStep("Code from "+a.Provider, time.Since(start), err, exchangeHint(err))
		return res.finish(noCode, a.Provider+" issued no code. Nothing was changed.")
	}
	e.pending.setDevice(p, d)
	setReady()
	// The account itself stops polling when the code expires. The extra minute lets
	// the person see that it has expired.
	poll, cancel := context.WithTimeout(waiting, min(time.Until(d.Expiry), maxDeviceLifetime)+time.Minute)
	defer cancel()
	g, err := a.Client.AwaitDevice(poll, d)
	e.pending.markAnswered(p)
	return completeDevice(ctx, a.Account, g, err)
}

// clientAddress returns the IP address of the client that sent r.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// register adds p to the pending authorizations and sets the cookie that binds the
// browser. It returns the authorization that counts, and the error, like
// pendingAuthorizations.add.
func (e *endpoint) register(w http.ResponseWriter, r *http.Request, p *pendingAuthorization) (*pendingAuthorization, error) {
	secure := e.usesHTTPS(p.account, r)
	p.source = e.source(r)
	p.cookie = plainCookie
	if secure {
		p.cookie = secureCookie
	}
	p, err := e.pending.add(p, r)
	if err != nil {
		return nil, err
	}
	http.SetCookie(w, &http.Cookie{
		Name:     p.cookie,
		Value:    p.browser,
		Path:     "/",
		MaxAge:   int((p.lifetime + 2*pendingLifetime) / time.Second), // consent, completion, result
		HttpOnly: true,
		Secure:   secure,
		SameSite: http.SameSiteLaxMode,
	})
	return p, nil
}
