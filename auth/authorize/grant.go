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
)

// workTime bounds what follows a provider's answer: one exchange, logins
// upstream on every protocol at once, one save.
const workTime = 60 * time.Second

// lasting returns a context for what follows a provider's answer. A code can be
// used once: if whoever began leaves now, what it is worth must still be kept.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), workTime)
}

// complete redeems the code of a provider's response, and keeps the grant if it
// is the account's. The outcome says why it is not.
func complete(ctx context.Context, a Account, verifier string, answer response) Outcome {
	ctx, cancel := lasting(ctx)
	defer cancel()
	res := &result{account: a}
	answer = answer.redacted(a)
	if hint, err := answer.check(a.Registration()); err != nil {
		res.step(answerOf(a), 0, err, hint)
		return res.end(wrongIssuer, "The answer may be another provider's than that of "+a.Provider()+". It was sent to neither, and nothing was kept.")
	}
	if code := answer.Get("error"); code != "" || answer.Get("code") == "" {
		return res.denied(code, answer.Get("error_description"))
	}
	res.step(answerOf(a), 0, nil, "")

	start := time.Now()
	g, err := a.Exchange(ctx, answer.Get("code"), verifier)
	if err != nil {
		res.step("Exchange of the code for a token", time.Since(start), err, exchangeHint(err))
		return res.end(noToken, a.Provider()+" agreed, but then gave no token. Nothing was kept.")
	}
	res.step("Exchange of the code for a token", time.Since(start), nil, "")
	return res.adopt(ctx, g)
}

// completeDevice goes from what came of a device's code to a grant that is
// kept, or to the words why not.
func completeDevice(ctx context.Context, a Account, g auth.Grant, err error) Outcome {
	res := &result{account: a}
	if err != nil {
		return res.deviceDenied(err)
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	res.step(answerOf(a), 0, nil, "")
	return res.adopt(ctx, g)
}

// answerOf is the step at which the provider agrees, or does not.
func answerOf(a Account) string { return "Answer of " + a.Provider() }

// adopt tries g at the mail servers, and keeps it if the account's mailbox opens.
func (res *result) adopt(ctx context.Context, g auth.Grant) Outcome {
	a := res.account
	g.Identity = oneLine(g.Identity)
	res.identity = g.Identity
	trials := a.Try(ctx, g)
	opened, down := 0, 0
	for _, l := range trials {
		switch {
		case l.Err == nil:
			opened++
		case unreachable(l.Err):
			down++
		}
	}
	stranger := res.identify(g, opened > 0, opened == 0 && down < len(trials))
	for _, l := range trials {
		res.step(fmt.Sprintf("%s login at %s", l.Protocol, l.Upstream), l.Took, l.Err, l.Hint)
	}
	switch {
	case opened == 0:
		res.drop(g)
		return res.end(noMailbox, res.whyNoMailbox(g, len(trials), down))
	case stranger != "":
		res.drop(g)
		return res.end(otherIdentity, stranger)
	}
	return res.offer(g, trials)
}

// keep puts g to use in the place of the present grant, and tells for how long it
// is good. The account is told what came of the trials. The error is an
// auth.ErrReplaced where another grant is present now: then nothing was done.
func (res *result) keep(g auth.Grant, trials []Trial, present auth.Access) (Outcome, error) {
	start := time.Now()
	err := res.account.Keep(g, present)
	if errors.Is(err, auth.ErrReplaced) {
		return Outcome{}, err
	}
	return res.kept(g, trials, err, time.Since(start)), nil
}

// kept tells what came of keeping g, which ended with err.
func (res *result) kept(g auth.Grant, trials []Trial, err error, took time.Duration) Outcome {
	a := res.account
	all := !slices.ContainsFunc(trials, func(l Trial) bool { return l.Err != nil })
	if g.RefreshToken == "" {
		res.step("Refresh token", 0, errors.New("none came with the access token, which cannot be renewed without"), refreshTokenHint(a))
	}
	if !errors.Is(err, auth.ErrEarlierKept) {
		for _, l := range trials {
			a.LoginEnded(strings.ToLower(l.Protocol), l.Err)
		}
	}
	switch {
	case errors.Is(err, auth.ErrEarlierKept):
		res.drop(g)
		return res.end(noRefresh, "The mailbox opened, but what "+a.Provider()+" gave ends "+at(g.Expiry)+", without a way to renew it. So it was not put in the place of the earlier authorization, which can be renewed.")
	case err != nil:
		res.step("Saving", took, err, "")
		return res.end(notSaved, "Programs can log in now. But what the provider gave could not be saved, and is lost if xoauthd ends before that is mended. It tries again by itself.")
	}
	res.step("Saving", took, nil, "")
	for _, p := range a.Status().Problems {
		if p.Kind == auth.ProblemEnding {
			res.step("Life of the authorization", 0, errors.New(p.Text), p.Hint)
		}
	}
	switch {
	case g.RefreshToken == "":
		return res.end(authorized, "Programs can log in now, but not for long: "+a.Provider()+" gave no refresh token, so all ends "+at(g.Expiry)+". What to do about it is told below.")
	case !all:
		return res.end(authorized, "What opened works now. What did not open is marked below, with its cause.")
	case !g.Ends.IsZero():
		return res.end(authorized, "Programs that were refused can try again now, but not for good: what to do about it is told below.")
	}
	return res.end(authorized, "Programs that were refused can try again now.")
}

// denied ends a result for an answer that has no code.
func (res *result) denied(code, description string) Outcome {
	a := res.account
	err := errors.New("it has neither a code nor an error")
	if code != "" {
		err = errors.New(strings.TrimSuffix(code+": "+description, ": "))
	}
	res.step(answerOf(a), 0, err, answerHint(a, code, description))
	lead := a.Provider() + " did not agree. Nothing was changed."
	if code == "access_denied" {
		lead = "Access was refused on the pages of " + a.Provider() + ". Nothing was changed."
	}
	return res.end(refused, lead)
}

// deviceDenied ends a result for a device's code that gave no token, RFC 8628
// section 3.5.
func (res *result) deviceDenied(err error) Outcome {
	a := res.account
	var answer *auth.Error
	code, description := "", ""
	if errors.As(err, &answer) {
		code, description = answer.Code, answer.Description
	}
	switch {
	case errors.Is(err, context.Canceled):
		res.step(answerOf(a), 0, errors.New("not waited for any longer"), "")
		return res.end(givenUp, "The wait for "+a.Provider()+" was ended before anybody agreed there. Nothing was changed.")
	case code == "expired_token", errors.Is(err, context.DeadlineExceeded):
		res.step(answerOf(a), 0, errors.New("none came while the code was good"), "")
		return res.end(lapsed, "The code was not entered at "+a.Provider()+" in time. Nothing was changed. Ask for another one.")
	case code == "access_denied", code == "authorization_declined": // Microsoft says it so
		return res.denied("access_denied", description)
	}
	res.step(answerOf(a), 0, err, exchangeHint(err))
	return res.end(noToken, a.Provider()+" gave no token. Nothing was changed.")
}

// broken ends a result for a fault in this program.
func (res *result) broken() Outcome {
	res.step("Authorization", 0, errors.New("internal error; see the log of xoauthd"), "")
	return res.end(broken, "This is a fault of xoauthd, of which its log tells more. Whether anything was kept is on the account's page.")
}

// whyNoMailbox tells what it means that no login of so many tried worked, for
// down of which there was no server, and what to do.
func (res *result) whyNoMailbox(g auth.Grant, tried, down int) string {
	a := res.account
	another := isAnother(g, a)
	switch {
	case tried == 0:
		return "No mail server is configured to try the token at, so nothing was kept."
	case down == tried:
		return "No mail server could be reached to try the token at, so nothing was kept. Once they can be reached, authorize again."
	case another && res.brought:
		return "This is a grant of " + g.Identity + ", and the account is " + a.Name() + ". Nothing was kept."
	case another:
		return "You signed in as " + g.Identity + ", and this account is " + a.Name() + ": authorize again and sign in as " + signsIn(a) + ". Nothing was kept."
	case g.Identity != "":
		return "No mailbox opened, so nothing was kept. It was " + g.Identity + " who signed in, as it should be: what the mail servers object to is told below."
	case res.brought:
		return "No mailbox opened with the grant that was brought in, so nothing was kept. Most likely it is another mailbox's than " + a.Name() + "."
	}
	return "No mailbox opened with what " + a.Provider() + " gave, so nothing was kept. Most likely another mailbox was chosen there: authorize again and sign in as " + signsIn(a) + "."
}

// unreachable reports whether err is the network's, and not an answer.
func unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
