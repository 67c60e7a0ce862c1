// Package doctor checks an account from its configuration to its mailbox, as a session
// would use it. It reports each step with its outcome and its duration, and a failed step
// with cause and remedy.
//
// The result of a check is a JSON object:
//
//	account  string   name of the account
//	ok       boolean  true if no step failed and none was skipped
//	steps    array    in the order in which they were taken
//
// Each step is an object. Empty fields are omitted, except the first three:
//
//	name     string   what was tested, for example "IMAP login at imap.example.com:993"
//	outcome  string   "ok", "warning", "failed" or "skipped"
//	seconds  number   duration
//	detail   string   the result, or why the step was skipped
//	cause    string   of a warning or a failure
//	remedy   string   what to do about it
//	facts    object   the result for programs: strings, numbers, lists of strings
//
// Facts are, where they apply: pattern, provider, flow, state, identity, obtained,
// refreshed, scopes and listeners of the account; addresses of a host; address,
// tls_version, cipher, alpn, subject, issuer, not_after and proxy of a connection; source,
// expiry and life_seconds of a token, and its claims by their own names; mechanism and user
// of a login; capabilities, mailboxes, messages, unseen and namespace of an IMAP mailbox;
// extensions of an SMTP session; capabilities, messages and octets of a POP3 mailbox. Times
// have the format of RFC 3339. Facts contain no secrets. "…" ends a text or a list that was
// shortened.
package doctor

import (
	"fmt"
	"time"
)

// An Outcome is the result of a step.
type Outcome string

// The outcomes of a step.
const (
	OK      Outcome = "ok"
	Warning Outcome = "warning" // it works, but needs attention
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped" // a step that it depends on failed, or there was no time left
)

// A Step is one part of a check. Its texts are single lines without control characters
// and secrets.
type Step struct {
	Name    string         `json:"name"`
	Outcome Outcome        `json:"outcome"`
	Seconds float64        `json:"seconds"`
	Detail  string         `json:"detail,omitempty"`
	Cause   string         `json:"cause,omitempty"`
	Remedy  string         `json:"remedy,omitempty"`
	Facts   map[string]any `json:"facts,omitempty"` // string, []string or int64
}

// fact adds a fact, unless the value is empty.
func (s *Step) fact(name string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case []string:
		if len(v) == 0 {
			return
		}
	case time.Time:
		if v.IsZero() {
			return
		}
		value = v.UTC().Format(time.RFC3339)
	}
	if s.Facts == nil {
		s.Facts = make(map[string]any)
	}
	s.Facts[name] = value
}

// addFinding adds a problem. It never improves the outcome.
func (s *Step) addFinding(o Outcome, cause, remedy string) {
	if s.Outcome != Failed {
		s.Outcome = o
	}
	s.Cause = join(s.Cause, "; ", cause)
	s.Remedy = join(s.Remedy, " ", remedy)
}

func join(a, separator, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + separator + b
}

// A Report is the result of a check.
type Report struct {
	Account string `json:"account"`
	OK      bool   `json:"ok"`
	Steps   []Step `json:"steps"`
}

// NewReport returns an empty report.
func NewReport(account string) *Report {
	return &Report{Account: account, OK: true, Steps: []Step{}}
}

// Add adds the next step.
func (r *Report) Add(s Step) {
	r.Steps = append(r.Steps, s)
	r.OK = r.OK && s.passed()
}

func (s *Step) passed() bool { return s.Outcome == OK || s.Outcome == Warning }

// Verdict returns the result in one line.
func (r *Report) Verdict() string {
	n := make(map[Outcome]int)
	first := ""
	for _, s := range r.Steps {
		if n[s.Outcome]++; s.Outcome == Failed && first == "" {
			first = s.Name
		}
	}
	switch {
	case n[Failed] == 1:
		return fmt.Sprintf("%s: 1 step failed: %s.", r.Account, first)
	case n[Failed] > 1:
		return fmt.Sprintf("%s: %d steps failed, the first: %s.", r.Account, n[Failed], first)
	case n[Skipped] > 0:
		return fmt.Sprintf("%s: check incomplete.", r.Account)
	case n[Warning] > 0:
		return fmt.Sprintf("%s: all works, with %s.", r.Account, count(int64(n[Warning]), "warning"))
	}
	return fmt.Sprintf("%s: all checks passed.", r.Account)
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// humanDuration formats a duration in one unit. A negative one counts as zero: clocks may
// be set back.
func humanDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < 2*time.Minute:
		return count(int64(d/time.Second), "second")
	case d < 2*time.Hour:
		return count(int64(d/time.Minute), "minute")
	case d < 2*day:
		return count(int64(d/time.Hour), "hour")
	}
	return count(int64(d/day), "day")
}
