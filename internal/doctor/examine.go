package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/exhausted"
	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/text"
)

// Time limits of a check. A person waits, or a monitoring system; most of these allow a
// check one minute.
const (
	wholeTime    = time.Minute
	lookupTime   = 5 * time.Second // also for what needs no network
	connectTime  = 10 * time.Second
	tokenTime    = 20 * time.Second
	loginTime    = 15 * time.Second
	listenerTime = 3 * time.Second
)

var (
	errLate  = errors.New("no time left: the whole has taken a minute")
	errProxy = errors.New("the environment names an HTTP proxy that cannot be understood")
)

// An examination is a check in progress.
type examination struct {
	*Subject
	report   func(step.Step)
	passed   bool
	secret   string // access token or app password; empty if there is none
	replaced bool   // xoauthd has asked for another token after a refusal
	noOther  error  // why the provider issued no other token; nil if it did, or was not asked
}

// Examine checks the account s. It reports each step when it ends, and returns true if
// none failed and none was skipped. It takes at most a minute. When ctx is done, it skips
// the remaining steps.
func Examine(ctx context.Context, s Subject, report func(step.Step)) (ok bool) {
	ctx, cancel := context.WithTimeoutCause(ctx, wholeTime, errLate)
	defer cancel()
	if s.Secrets == nil {
		s.Secrets = new(redact.Secrets)
	}
	x := &examination{Subject: &s, report: report, passed: true}
	x.configuration(ctx)
	authorized := x.authorization(ctx)
	unknown := x.names(ctx)
	links := x.connections(ctx, unknown)
	defer func() {
		for _, k := range links {
			k.close()
		}
	}()
	x.tokenEndpoint(ctx, unknown)
	x.token(ctx, authorized)
	for _, k := range links {
		x.login(ctx, k)
	}
	x.sendAPI(ctx, authorized)
	x.listeners(ctx)
	x.send(ctx)
	return x.passed
}

// step takes one step, reports it, and returns whether it passed.
func (x *examination) step(ctx context.Context, name string, limit time.Duration, take func(context.Context, *step.Step) error) bool {
	return x.done(x.take(ctx, name, limit, take))
}

// take takes one step within limit. If take returns an error, the step has failed; its
// remedy is the hint for the error, unless the step has set one.
func (x *examination) take(ctx context.Context, name string, limit time.Duration, take func(context.Context, *step.Step) error) step.Step {
	if ctx.Err() != nil {
		return skipped(name, context.Cause(ctx).Error())
	}
	s := step.Step{Name: name, Outcome: step.OK}
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, tooLate(limit))
	defer cancel()
	if err := take(ctx, &s); err != nil {
		remedy, local := "", exhausted.Hint(err)
		switch {
		case local != "": // whatever the step takes for the cause
			s.Remedy = local
		case s.Remedy == "":
			remedy = x.hint(err)
		}
		s.AddFinding(step.Failed, err.Error(), remedy)
	}
	s.Took(time.Since(start))
	return s
}

// skip reports a step as skipped.
func (x *examination) skip(name, why string) { x.done(skipped(name, why)) }

func skipped(name, why string) step.Step {
	return step.Step{Name: name, Outcome: step.Skipped, Detail: why}
}

// done reports a step, and returns whether it passed. Every step goes through here.
func (x *examination) done(s step.Step) bool {
	x.report(cleaned(s, x.Secrets))
	x.passed = x.passed && s.Passed()
	return s.Passed()
}

// partError adds to err the part of the step that failed. If the time limit was reached,
// it returns that instead of how the connection ended.
func partError(ctx context.Context, part string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", part, err)
}

// A tooLate is the error of a step that has reached its time limit.
type tooLate time.Duration

func (t tooLate) Error() string { return fmt.Sprintf("no answer within %v", time.Duration(t)) }

func (tooLate) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// configuration reports what is configured.
func (x *examination) configuration(ctx context.Context) {
	x.step(ctx, "configuration", lookupTime, func(_ context.Context, s *step.Step) error {
		x.describe(s)
		if !x.Enabled {
			s.AddFinding(step.Failed, "the account is not enabled", `Remove "enabled = false" from it in the configuration.`)
		}
		if len(x.Listeners) == 0 {
			s.AddFinding(step.Failed, "no listener leads to the account",
				"Add a [[listener]] for a protocol of provider "+x.Provider.Name+" to the configuration.")
		}
		return nil
	})
}

// authorization reports the state of the account, and returns false if a person must
// authorize it first.
func (x *examination) authorization(ctx context.Context) bool {
	if x.usesPassword() {
		return true
	}
	status := x.Status()
	x.step(ctx, "authorization", lookupTime, func(_ context.Context, s *step.Step) error {
		describeStatus(s, status, x.Account)
		if status.State == auth.NeedsAuthorization {
			s.AddFinding(step.Failed, cmp.Or(status.Why, "the account must be authorized"), step.Join(status.Hint, " ", x.Remedy))
			return nil
		}
		for _, p := range status.Problems {
			if p.Part == auth.PartProvider || p.Part == auth.PartStore { // other problems have steps of their own
				s.AddFinding(step.Warning, p.Text, p.Hint)
			}
		}
		return nil
	})
	return status.State != auth.NeedsAuthorization
}

func describeStatus(s *step.Step, status auth.Status, account string) {
	s.AddFact("state", string(status.State))
	s.AddFact("identity", status.Identity)
	s.AddFact("obtained", status.Obtained)
	s.AddFact("refreshed", status.Refreshed)
	now := time.Now().Round(0)
	switch {
	case status.Obtained.IsZero() && status.State != auth.NeedsAuthorization:
		s.Detail = "needs no person"
	case !status.Obtained.IsZero():
		s.Detail = text.Span(now.Sub(status.Obtained)) + " ago"
		if status.Identity != "" && !strings.EqualFold(status.Identity, account) {
			s.Detail += " by " + status.Identity
		}
	}
	if !status.Refreshed.IsZero() {
		s.Detail = step.Join(s.Detail, ", ", "refreshed "+text.Span(now.Sub(status.Refreshed))+" ago")
	}
}

// describe adds provider, flow and listeners to the step.
func (x *examination) describe(s *step.Step) {
	s.Detail = "provider " + x.Provider.Name
	if x.Provider.Title != "" && x.Provider.Title != x.Provider.Name {
		s.Detail += " (" + x.Provider.Title + ")"
	}
	if x.Pattern != "" && x.Pattern != x.Account {
		s.Detail = "account " + x.Pattern + ", " + s.Detail
		s.AddFact("pattern", x.Pattern)
	}
	var listeners []string
	for _, l := range x.Listeners {
		listeners = append(listeners, strings.ToUpper(l.Protocol)+" at "+l.place())
	}
	s.Detail = step.Join(s.Detail, ", flow ", string(x.Flow))
	s.Detail = step.Join(s.Detail, "; ", strings.Join(listeners, ", "))
	s.AddFact("provider", x.Provider.Name)
	s.AddFact("flow", string(x.Flow))
	s.AddFact("listeners", listeners)
	if !x.usesPassword() {
		s.AddFact("scopes", x.Provider.Scopes)
	}
}
