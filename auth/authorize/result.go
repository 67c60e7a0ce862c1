package authorize

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/step"
)

// The kinds of results.
const (
	authorized         = "authorized"
	refused            = "refused by the provider"
	wrongIssuer        = "answered by another provider"
	noCode             = "no code for a device"
	codeExpired        = "code not entered in time"
	canceled           = "given up"
	noToken            = "no token"
	noMailbox          = "no mailbox opened"
	otherIdentity      = "another person signed in"
	confirmationNeeded = "confirmation needed"
	notConfirmed       = "not confirmed"
	superseded         = "authorized meanwhile"
	noRefreshToken     = "no refresh token"
	notSaved           = "not saved"
	otherBrowser       = "another browser"
	internalError      = "internal error"
)

// A Result is the result of an authorization, for a page, a terminal and the log. It holds
// no secrets.
type Result struct {
	Account  string      `json:"account"`
	Kind     string      `json:"outcome"`            // value of the log attribute result: "authorized", "no mailbox opened"
	Identity string      `json:"identity,omitempty"` // address with which the person signed in; empty if unknown
	Title    string      `json:"title"`
	Lead     string      `json:"lead"`   // meaning of the result, and what to do next
	OK       bool        `json:"ok"`     // the new grant is in use
	Partly   bool        `json:"partly"` // OK, but at least one step failed
	Steps    []step.Step `json:"steps"`  // in order

	// Candidate is not nil if a person must decide whether it replaces the present
	// grant.
	Candidate *Candidate `json:"-"`
}

// Log logs r. The further attributes describe the client.
func (r Result) Log(ctx context.Context, log *slog.Logger, client ...slog.Attr) {
	level := slog.LevelWarn
	if r.OK && !r.Partly {
		level = slog.LevelInfo
	}
	attrs := append([]slog.Attr{slog.String("account", r.Account), slog.String("result", r.Kind)}, client...)
	for _, a := range []struct{ key, text string }{
		{"identity", r.Identity},
		{"error", r.causes()},
		{"hint", r.hints()},
	} {
		if a.text != "" {
			attrs = append(attrs, slog.String(a.key, a.text))
		}
	}
	log.LogAttrs(ctx, level, "authorization", attrs...)
}

// causes joins the causes of all failed steps.
func (r Result) causes() string {
	var all []string
	for _, s := range r.Steps {
		if !s.Passed() {
			all = append(all, s.Name+": "+s.Cause)
		}
	}
	return strings.Join(all, "; ")
}

// hints joins the different remedies of all steps.
func (r Result) hints() string {
	var all []string
	for _, s := range r.Steps {
		if s.Remedy != "" && !slices.Contains(all, s.Remedy) {
			all = append(all, s.Remedy)
		}
	}
	return strings.Join(all, " ")
}

// A resultBuilder collects the steps of a Result.
type resultBuilder struct {
	account  *Account
	imported bool   // the grant was imported, so nobody has just signed in
	identity string // identity of the grant; empty if unknown
	steps    []step.Step
}

// addStep adds a step, which failed if err is not nil. A successful step may have a remedy,
// too.
func (res *resultBuilder) addStep(name string, took time.Duration, err error, remedy string) {
	s := step.Step{Name: name, Outcome: step.OK, Remedy: remedy}
	s.Took(took)
	if err != nil {
		s.Outcome, s.Cause = step.Failed, oneLine(err.Error())
	}
	res.steps = append(res.steps, s)
}

// finish returns the Result. It derives OK, Partly and Title from the kind and the steps.
func (res *resultBuilder) finish(kind, lead string) Result {
	name := res.account.Name
	r := Result{Account: name, Kind: kind, Identity: res.identity, Lead: lead, Steps: res.steps}
	r.OK = kind == authorized || kind == notSaved
	r.Partly = r.OK && r.causes() != ""
	switch {
	case r.Partly:
		r.Title = name + " is authorized in part"
	case r.OK:
		r.Title = name + " is authorized"
	default:
		r.Title = name + " was not authorized"
		if res.account.Grants.Status().State != auth.NeedsAuthorization {
			r.Lead += " Its earlier authorization stays in use."
		}
	}
	return r
}
