// Package doctor examines one account from its configuration to its mailbox, as
// a session would go, and tells of each step what came of it, the time it took
// and, where it failed, the cause and the remedy.
//
// For programs, an examination is one JSON object:
//
//	account  string   the account's name
//	ok       boolean  whether no step failed and none was skipped
//	steps    array    in the order in which they were taken
//
// Each step is an object; what is empty is left out, but for the first three:
//
//	name     string   what was examined, for example "IMAP login at imap.example.com:993"
//	outcome  string   "ok", "warning", "failed" or "skipped"
//	seconds  number   the time it took
//	detail   string   what was found; why the step was skipped
//	cause    string   of a warning or a failure
//	remedy   string   what to do about it
//	facts    object   what was found, for programs: strings, numbers, lists of strings
//
// Facts are, where they apply: pattern, provider, flow, state, identity,
// obtained, refreshed, scopes and listeners of the account; addresses of a name;
// address, tls_version, cipher, alpn, subject, issuer, not_after and proxy of a
// connection; source, expiry and life_seconds of a token, and its claims by
// their own names; mechanism and user of a login; capabilities, mailboxes,
// messages, unseen and namespace of an IMAP mailbox; extensions of an SMTP session;
// capabilities, messages and octets of a POP3 mailbox. Times are of RFC 3339. There is never a secret among
// them. Where a server says too much, "…" ends the text or the list.
package doctor

import (
	"fmt"
	"time"
)

// An Outcome is what came of a step.
type Outcome string

// The outcomes of a step.
const (
	OK      Outcome = "ok"
	Warning Outcome = "warning" // it works, but somebody should look at it
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped" // what it depends on failed, or there was no time left
)

// A Step is one part of the way that an account's session goes. Its texts are
// single lines without control characters or secrets, whoever wrote them.
type Step struct {
	Name    string         `json:"name"`
	Outcome Outcome        `json:"outcome"`
	Seconds float64        `json:"seconds"`
	Detail  string         `json:"detail,omitempty"`
	Cause   string         `json:"cause,omitempty"`
	Remedy  string         `json:"remedy,omitempty"`
	Facts   map[string]any `json:"facts,omitempty"` // string, []string or int64
}

// fact adds to the facts, unless there is nothing to tell.
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

// find adds something that is wrong. The worst outcome stays.
func (s *Step) find(o Outcome, cause, remedy string) {
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

// A Report is an examination as a whole.
type Report struct {
	Account string `json:"account"`
	OK      bool   `json:"ok"`
	Steps   []Step `json:"steps"`
}

// NewReport returns the report of an examination that has not begun.
func NewReport(account string) *Report {
	return &Report{Account: account, OK: true, Steps: []Step{}}
}

// Add adds the next step.
func (r *Report) Add(s Step) {
	r.Steps = append(r.Steps, s)
	r.OK = r.OK && s.sound()
}

func (s *Step) sound() bool { return s.Outcome == OK || s.Outcome == Warning }

// Verdict tells in one line what came of it all.
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

// span is a length of time in one unit. There is none below zero: clocks are set.
func span(d time.Duration) string {
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
