package authorize

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
)

// completeTimeout limits the work after a provider's answer: one token request,
// simultaneous upstream logins, and one save.
const completeTimeout = 60 * time.Second

// finishing returns a context for the work after a provider's answer. It outlives the
// client, because a code can be used only once and its grant must not be lost.
func (a *Account) finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := a.Shutdown.Finish(ctx)
	ctx, stop := context.WithTimeout(ctx, completeTimeout)
	return ctx, func() { stop(); cancel() }
}

// complete exchanges the code of a provider's response for a grant, and keeps the grant
// if it opens the account's mailbox. The Result explains each failure.
func complete(ctx context.Context, a *Account, verifier string, answer response) Result {
	ctx, cancel := a.finishing(ctx)
	defer cancel()
	res := &resultBuilder{account: a}
	answer = answer.redacted(a)
	reg := a.Registration
	if reg.Issuer != "" && !reg.RequireIss && !reg.IssDecided && !answer.Has("iss") {
		reg.RequireIss = a.Client.SendsIss(ctx)
	}
	if hint, err := answer.check(reg); err != nil {
		res.addStep(answerOf(a), 0, err, hint)
		return res.finish(wrongIssuer, "The response may come from another provider than "+a.Provider+". xoauthd did not use it. Nothing was kept.")
	}
	if code := answer.Get("error"); code != "" || answer.Get("code") == "" {
		return res.denied(code, answer.Get("error_description"))
	}
	res.addStep(answerOf(a), 0, nil, "")

	start := time.Now()
	g, err := a.Client.Exchange(ctx, answer.Get("code"), verifier)
	if err != nil {
		res.addStep("Exchange of the code for a token", time.Since(start), err, exchangeHint(err))
		return res.finish(noToken, a.Provider+" agreed, but returned no token. Nothing was kept.")
	}
	res.addStep("Exchange of the code for a token", time.Since(start), nil, "")
	return res.adopt(ctx, g)
}

// completeDevice keeps the grant g of a device flow if it opens the account's mailbox.
// The err is that of AwaitDevice.
func completeDevice(ctx context.Context, a *Account, g oauth.Grant, err error) Result {
	res := &resultBuilder{account: a}
	if err != nil {
		return res.deviceDenied(err)
	}
	ctx, cancel := a.finishing(ctx)
	defer cancel()
	res.addStep(answerOf(a), 0, nil, "")
	return res.adopt(ctx, g)
}

// answerOf returns the name of the step with the provider's answer.
func answerOf(a *Account) string { return "Answer of " + a.Provider }

// adopt logs in to the mail servers with g, and keeps g if a login succeeds.
func (res *resultBuilder) adopt(ctx context.Context, g oauth.Grant) Result {
	a := res.account
	g.Identity = oneLine(g.Identity)
	res.identity = g.Identity
	trials := a.Grants.Try(ctx, g)
	opened, down := 0, 0 // successful logins, unreachable servers
	for _, l := range trials {
		switch {
		case l.Err == nil:
			opened++
		case unreachable(l.Err):
			down++
		}
	}
	mismatch := res.checkIdentity(g, opened > 0, opened == 0 && down < len(trials))
	for _, l := range trials {
		res.addStep(fmt.Sprintf("%s login at %s", l.Protocol, l.Upstream), l.Took, l.Err, l.Hint)
	}
	switch {
	case opened == 0:
		res.discard(g)
		return res.finish(noMailbox, res.explainNoMailbox(g, len(trials), down))
	case mismatch != "":
		res.discard(g)
		return res.finish(otherIdentity, mismatch)
	}
	return res.keepOrAsk(g, trials)
}

// keep replaces the present grant with g. If another grant has replaced the present one
// in the meantime, keep changes nothing and the error is auth.ErrReplaced.
func (res *resultBuilder) keep(g oauth.Grant, trials []Trial, present auth.Access) (Result, error) {
	start := time.Now()
	err := res.account.Grants.Keep(g, present, res.imported)
	if errors.Is(err, auth.ErrReplaced) {
		return Result{}, err
	}
	return res.afterKeep(g, trials, err, time.Since(start)), nil
}

// afterKeep returns the result of Account.Keep, which returned err, and passes the trials
// on to the account if g is in use.
func (res *resultBuilder) afterKeep(g oauth.Grant, trials []Trial, err error, took time.Duration) Result {
	a := res.account
	all := !slices.ContainsFunc(trials, func(l Trial) bool { return l.Err != nil })
	if g.RefreshToken == "" {
		res.addStep("Refresh token", 0, errors.New("the provider returned none, so xoauthd cannot refresh the access token"), refreshTokenHint(a))
	}
	if !errors.Is(err, auth.ErrEarlierKept) {
		for _, l := range trials {
			a.Grants.LoginEnded(strings.ToLower(l.Protocol), l.Err)
		}
	}
	switch {
	case errors.Is(err, auth.ErrEarlierKept):
		res.discard(g)
		return res.finish(noRefreshToken, "The mailbox opened, but the new authorization ends "+onDate(g.Expiry)+", because "+a.Provider+" returned no refresh token. xoauthd did not replace the earlier authorization, which can be renewed.")
	case err != nil:
		res.addStep("Saving", took, err, "")
		return res.finish(notSaved, "Programs can log in now. But xoauthd could not save the new authorization, and loses it if it stops before it can. It tries again by itself.")
	}
	res.addStep("Saving", took, nil, "")
	for _, p := range a.Grants.Status().Problems {
		if p.Kind == auth.ProblemEnding {
			res.addStep("Lifetime of the authorization", 0, errors.New(p.Text), p.Hint)
		}
	}
	switch {
	case g.RefreshToken == "":
		return res.finish(authorized, "Programs can log in now, but the authorization ends "+onDate(g.Expiry)+", because "+a.Provider+" returned no refresh token. See below what to do.")
	case !all:
		return res.finish(authorized, "Programs can now use the servers that accepted the login. See below why the other steps failed.")
	case !g.Ends.IsZero():
		return res.finish(authorized, "Programs can log in now, but the authorization will end. See below when, and what to do.")
	}
	return res.finish(authorized, "Programs can log in now.")
}

// denied returns the result of a provider's answer without a code. The parameters are
// those of the error (RFC 6749 section 4.1.2.1).
func (res *resultBuilder) denied(code, description string) Result {
	a := res.account
	err := errors.New("it contains neither a code nor an error")
	if code != "" {
		err = errors.New(strings.TrimSuffix(code+": "+description, ": "))
	}
	res.addStep(answerOf(a), 0, err, callbackHint(a, code, description))
	lead := a.Provider + " refused the request. Nothing was changed."
	if code == "access_denied" {
		lead = "Access was refused at " + a.Provider + ". Nothing was changed."
	}
	return res.finish(refused, lead)
}

// deviceDenied returns the result of a device flow that ended with err (RFC 8628 section
// 3.5).
func (res *resultBuilder) deviceDenied(err error) Result {
	a := res.account
	var answer *oauth.Error
	code, description := "", ""
	if errors.As(err, &answer) {
		code, description = answer.Code, answer.Description
	}
	switch {
	case errors.Is(err, context.Canceled):
		res.addStep(answerOf(a), 0, errors.New("xoauthd stopped waiting"), "")
		return res.finish(canceled, "xoauthd stopped waiting before anyone agreed at "+a.Provider+". Nothing was changed.")
	case code == "expired_token", errors.Is(err, context.DeadlineExceeded):
		res.addStep(answerOf(a), 0, errors.New("none before the code expired"), "")
		return res.finish(codeExpired, "The code was not entered at "+a.Provider+" in time. Nothing was changed. Get a new code and try again.")
	case code == "access_denied", code == "authorization_declined": // the code of Microsoft
		return res.denied("access_denied", description)
	}
	res.addStep(answerOf(a), 0, err, exchangeHint(err))
	return res.finish(noToken, a.Provider+" returned no token. Nothing was changed.")
}

// internalError returns the result after a panic.
func (res *resultBuilder) internalError() Result {
	res.addStep("Authorization", 0, errors.New("internal error; see the log of xoauthd"), "")
	return res.finish(internalError, "This is a bug in xoauthd. Its log has the details. The account's page shows whether the new authorization is in use.")
}

// explainNoMailbox returns the lead of a result without a successful login. Of the tried
// logins, down did not reach the server.
func (res *resultBuilder) explainNoMailbox(g oauth.Grant, tried, down int) string {
	a := res.account
	other := isOtherIdentity(g, a)
	switch {
	case tried == 0:
		return "No mail server is configured, so xoauthd could not test the token. Nothing was kept."
	case down == tried:
		return "No mail server could be reached, so xoauthd could not test the token. Nothing was kept. Authorize again when the servers are reachable."
	case other && res.imported:
		return "This grant belongs to " + g.Identity + ", but the account is " + a.Name + ". Nothing was kept."
	case other:
		return "You signed in as " + g.Identity + ", but this account is " + a.Name + ". Nothing was kept. Authorize again and sign in as " + signInAddress(a) + "."
	case g.Identity != "":
		return "No mailbox opened, so nothing was kept. " + g.Identity + " signed in, as expected. See below why the mail servers refused the login."
	case res.imported:
		return "No mailbox opened with the imported grant, so nothing was kept. It probably belongs to another mailbox than " + a.Name + "."
	}
	return "No mailbox opened with the token from " + a.Provider + ", so nothing was kept. You have probably signed in to another mailbox. Authorize again and sign in as " + signInAddress(a) + "."
}

// unreachable reports whether err is a network error or a timeout, so that there was no
// answer.
func unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
