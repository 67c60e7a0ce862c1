package authorize

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

// How an authorization ended, as logged.
const (
	authorized    = "authorized"
	refused       = "refused by the provider"
	wrongIssuer   = "answered by another provider"
	noCode        = "no code for a device"
	lapsed        = "code not entered in time"
	givenUp       = "given up"
	noToken       = "no token"
	noMailbox     = "no mailbox opened"
	otherIdentity = "another person signed in"
	undecided     = "confirmation needed"
	notConfirmed  = "not confirmed"
	superseded    = "authorized meanwhile"
	noRefresh     = "no refresh token"
	notSaved      = "not saved"
	otherBrowser  = "another browser"
	broken        = "internal error"
)

// An Outcome is what came of an authorization, as a page or a terminal shows
// it. It holds no secret.
type Outcome struct {
	Account  string `json:"account"`
	Outcome  string `json:"outcome"`            // as logged: "authorized", "no mailbox opened"
	Identity string `json:"identity,omitempty"` // the address of who signed in; empty if it is not known
	Title    string `json:"title"`
	Lead     string `json:"lead"`   // what it means, and what to do next
	OK       bool   `json:"ok"`     // the grant is in use
	Partly   bool   `json:"partly"` // it is, although not every step worked
	Steps    []Step `json:"steps"`  // in their order

	// Candidate is not nil if a person must decide whether to replace the present
	// grant. It is not shown.
	Candidate *Candidate `json:"-"`
}

// A Step is one thing that was done on the way to an Outcome.
type Step struct {
	OK    bool          `json:"ok"`
	Text  string        `json:"text"`
	Cause string        `json:"cause,omitempty"` // why not OK, in one line
	Hint  string        `json:"hint,omitempty"`  // what a person can do about it
	Took  time.Duration `json:"took"`            // in nanoseconds
}

// Lasted is how long the step took, as shown: less than a tenth of a second is
// of no interest, and nothing.
func (s Step) Lasted() string {
	if s.Took < 100*time.Millisecond {
		return ""
	}
	return fmt.Sprintf("%.1f s", s.Took.Seconds())
}

// Log writes the line that each authorization is logged with. The attributes
// tell who was there.
func (o Outcome) Log(ctx context.Context, log *slog.Logger, by ...slog.Attr) {
	level := slog.LevelWarn
	if o.OK && !o.Partly {
		level = slog.LevelInfo
	}
	attrs := append([]slog.Attr{slog.String("account", o.Account), slog.String("result", o.Outcome)}, by...)
	for _, said := range []struct{ key, text string }{
		{"identity", o.Identity},
		{"why", o.causes()},
		{"hint", o.hints()},
	} {
		if said.text != "" {
			attrs = append(attrs, slog.String(said.key, said.text))
		}
	}
	log.LogAttrs(ctx, level, "authorization", attrs...)
}

// causes are those of all steps that failed.
func (o Outcome) causes() string {
	var all []string
	for _, s := range o.Steps {
		if !s.OK {
			all = append(all, s.Text+": "+s.Cause)
		}
	}
	return strings.Join(all, "; ")
}

// hints are those of all steps, each once.
func (o Outcome) hints() string {
	var all []string
	for _, s := range o.Steps {
		if s.Hint != "" && !slices.Contains(all, s.Hint) {
			all = append(all, s.Hint)
		}
	}
	return strings.Join(all, " ")
}

// A result is an Outcome that comes to be.
type result struct {
	account  Account
	brought  bool   // the grant was brought in: nobody has just signed in
	identity string // of the grant; empty if it is not known
	steps    []Step
}

// step notes one thing that was done: err is nil if it worked. There may be a hint
// all the same.
func (res *result) step(text string, took time.Duration, err error, hint string) {
	s := Step{OK: err == nil, Text: text, Took: took, Hint: hint}
	if err != nil {
		s.Cause = oneLine(err.Error())
	}
	res.steps = append(res.steps, s)
}

// end returns the Outcome.
func (res *result) end(outcome, lead string) Outcome {
	name := res.account.Name()
	o := Outcome{Account: name, Outcome: outcome, Identity: res.identity, Lead: lead, Steps: res.steps}
	o.OK = outcome == authorized || outcome == notSaved
	o.Partly = o.OK && o.causes() != ""
	switch {
	case o.Partly:
		o.Title = name + " is authorized in part"
	case o.OK:
		o.Title = name + " is authorized"
	default:
		o.Title = name + " was not authorized"
		if res.account.Status().State != auth.NeedsAuthorization {
			o.Lead += " Its earlier authorization stays in use."
		}
	}
	return o
}
