package authorize

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

// workTime bounds what follows a callback: one exchange, logins upstream on
// every protocol at once, one save.
const workTime = 60 * time.Second

// How an authorization ended, as logged.
const (
	authorized   = "authorized"
	refused      = "refused by the provider"
	wrongIssuer  = "answered by another provider"
	noToken      = "no token"
	noMailbox    = "no mailbox opened"
	noRefresh    = "no refresh token"
	notSaved     = "not saved"
	otherBrowser = "another browser"
)

// A result is what came of an attempt, as its page shows it.
type result struct {
	account *account
	Outcome string
	Title   string
	Lead    string // what it means, and what to do next
	Steps   []step
}

// OK reports whether the grant is in use.
func (res *result) OK() bool { return res.Outcome == authorized || res.Outcome == notSaved }

// Partly reports whether it is in use although not every step worked.
func (res *result) Partly() bool { return res.OK() && res.causes() != "" }

// end sets how it ended, and returns res.
func (res *result) end(outcome, lead string) *result {
	res.Outcome, res.Lead = outcome, lead
	switch {
	case res.Partly():
		res.Title = res.account.Name() + " is authorized in part"
	case res.OK():
		res.Title = res.account.Name() + " is authorized"
	default:
		res.Title = res.account.Name() + " was not authorized"
		if res.account.Status().State == auth.Authorized {
			res.Lead += " Its earlier authorization stays in use."
		}
	}
	return res
}

// step notes one thing that was done: err is nil if it worked.
func (res *result) step(text string, took time.Duration, err error, hint string) {
	s := step{OK: err == nil, Text: text}
	if took >= 100*time.Millisecond { // less is of no interest
		s.Took = fmt.Sprintf("%.1f s", took.Seconds())
	}
	if err != nil {
		s.Cause, s.Hint = oneLine(err.Error()), hint
	}
	res.Steps = append(res.Steps, s)
}

// A step is one line of a result.
type step struct {
	OK                      bool
	Text, Took, Cause, Hint string
}

// callback is where the provider sends the browser. It answers with a redirect
// to the result's page: the code must neither be used again when the person
// reloads, nor stay in the address bar.
func (e *endpoint) callback(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		return // from something that looks where a link leads; the code is for the browser
	}
	q := r.URL.Query()
	t, err := e.attempts.take(q.Get("state"), r)
	switch {
	case errors.Is(err, errOtherBrowser):
		e.audit(r, &result{account: t.account, Outcome: otherBrowser})
		e.message(w, http.StatusForbidden, begunElsewhere(t.account))
		return
	case errors.Is(err, errUsed):
		e.message(w, http.StatusConflict, usedBefore(e.base+"/result/"+t.id))
		return
	case err != nil:
		e.message(w, http.StatusBadRequest, notExpected(e.base+"/"))
		return
	}

	// A code can be used once. If the browser leaves now, what it is worth
	// must still be kept.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), workTime)
	defer cancel()
	// Not every ResponseWriter has deadlines; then none is in the way.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(workTime + 10*time.Second))

	res := complete(ctx, t, q)
	e.attempts.finish(t, res)
	e.audit(r, res)
	http.Redirect(w, r, e.base+"/result/"+t.id, http.StatusSeeOther)
}

// complete goes from the provider's answer q to a grant that is kept, or to
// the words why not.
func complete(ctx context.Context, t *attempt, q url.Values) *result {
	a, res := t.account, &result{account: t.account}
	answer := "Answer of " + a.Provider()
	if want := a.Issuer(); want != "" && q.Has("iss") && q.Get("iss") != want {
		// The code may be another provider's, to be sent to this one's token
		// endpoint: mix-up, RFC 9700 section 4.4.
		res.step(answer, 0, fmt.Errorf("it comes from %s, not from %s", oneLine(q.Get("iss")), want), "")
		return res.end(wrongIssuer, "The answer came from another provider than the one that was asked. Nothing was sent to it. If this happens again, check the issuer in the configuration of "+a.Provider()+".")
	}
	if code := q.Get("error"); code != "" || q.Get("code") == "" {
		return denied(res, code, q.Get("error_description"))
	}
	res.step(answer, 0, nil, "")

	start := time.Now()
	grant, err := a.Exchange(ctx, q.Get("code"), t.verifier)
	if err != nil {
		res.step("Exchange of the code for a token", time.Since(start), err, exchangeHint(err))
		return res.end(noToken, a.Provider()+" agreed, but then gave no token. Nothing was kept.")
	}
	res.step("Exchange of the code for a token", time.Since(start), nil, "")

	trials := a.Try(ctx, grant)
	opened := 0
	for _, l := range trials {
		res.step(fmt.Sprintf("%s login at %s", l.Protocol, l.Upstream), l.Took, l.Err, l.Hint)
		if l.Err == nil {
			opened++
		}
	}
	if opened == 0 {
		return res.end(noMailbox, whyNoMailbox(a, trials))
	}
	return keep(res, grant, opened == len(trials))
}

// keep puts grant to use, and tells for how long it is good. all says that every
// mailbox opened.
func keep(res *result, grant auth.Grant, all bool) *result {
	a := res.account
	if grant.RefreshToken == "" {
		res.step("Refresh token", 0, errors.New("none came with the access token, which cannot be renewed without"), refreshTokenHint(a))
	}
	start := time.Now()
	switch err := a.Keep(grant); {
	case errors.Is(err, auth.ErrEarlierKept):
		return res.end(noRefresh, "The mailbox opened, but what "+a.Provider()+" gave ends "+at(grant.Expiry)+", without a way to renew it. So it was not put in the place of the earlier authorization, which can be renewed.")
	case err != nil:
		res.step("Saving", time.Since(start), err, "")
		return res.end(notSaved, "Programs can log in now. But what the provider gave could not be saved, and is lost if xoauthd ends before that is mended. It tries again by itself.")
	}
	res.step("Saving", time.Since(start), nil, "")
	switch {
	case grant.RefreshToken == "":
		return res.end(authorized, "Programs can log in now, but not for long: "+a.Provider()+" gave no refresh token, so all ends "+at(grant.Expiry)+". What to do about it is told below.")
	case !all:
		return res.end(authorized, "What opened works now. What did not open is marked below, with its cause.")
	}
	return res.end(authorized, "Programs that were refused can try again now. You may close this page.")
}

// denied ends a result for an answer that has no code.
func denied(res *result, code, description string) *result {
	a := res.account
	err := errors.New("it has neither a code nor an error")
	if code != "" {
		err = errors.New(strings.TrimSuffix(code+": "+description, ": "))
	}
	res.step("Answer of "+a.Provider(), 0, err, answerHint(code, description))
	lead := a.Provider() + " did not agree. Nothing was changed."
	if code == "access_denied" {
		lead = "Access was refused on the pages of " + a.Provider() + ". Nothing was changed."
	}
	return res.end(refused, lead)
}

// whyNoMailbox tells what it means that no login worked, and what to do.
func whyNoMailbox(a *account, trials []Trial) string {
	down := 0
	for _, l := range trials {
		if unreachable(l.Err) {
			down++
		}
	}
	switch {
	case len(trials) == 0:
		return "No mail server is configured to try the token at, so nothing was kept."
	case down == len(trials):
		return "No mail server could be reached to try the token at, so nothing was kept. Once they can be reached, authorize again."
	}
	return "No mailbox opened with what " + a.Provider() + " gave, so nothing was kept. Most likely another mailbox was chosen there: authorize again and sign in as " + a.Name() + "."
}

// unreachable reports whether err is the network's, and not an answer.
func unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// audit logs how an authorization ended, and who was there. Of the URL nothing
// is logged: it has the code.
func (e *endpoint) audit(r *http.Request, res *result) {
	level := slog.LevelWarn
	if res.OK() && !res.Partly() {
		level = slog.LevelInfo
	}
	attrs := []slog.Attr{
		slog.String("account", res.account.Name()),
		slog.String("result", res.Outcome),
		slog.String("client", r.RemoteAddr),
	}
	if by := r.Header.Get("X-Forwarded-For"); by != "" {
		// Anybody can write this; behind a reverse proxy its last part is true.
		attrs = append(attrs, slog.String("forwarded_for", oneLine(by)))
	}
	if why := res.causes(); why != "" {
		attrs = append(attrs, slog.String("why", why))
	}
	e.log.LogAttrs(r.Context(), level, "authorization", attrs...)
}

// causes are those of all steps that failed.
func (res *result) causes() string {
	var all []string
	for _, s := range res.Steps {
		if !s.OK {
			all = append(all, s.Text+": "+s.Cause)
		}
	}
	return strings.Join(all, "; ")
}
