// Package step describes and prints the steps of a check and of an authorization: what was
// tried, how it went, and what to do about it.
package step

import (
	"fmt"
	"math"
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

// A Step is one step. Its texts are single lines without control characters and secrets.
type Step struct {
	Name    string         `json:"name"` // what was tried, for example "IMAP login at imap.example.com:993"
	Outcome Outcome        `json:"outcome"`
	Seconds float64        `json:"seconds"`          // duration
	Detail  string         `json:"detail,omitempty"` // the result, or why the step was skipped
	Cause   string         `json:"cause,omitempty"`  // of a warning or a failure
	Remedy  string         `json:"remedy,omitempty"` // what to do about it
	Facts   map[string]any `json:"facts,omitempty"`  // the result for programs: string, []string or int64
}

// Took sets the duration of s, to the millisecond.
func (s *Step) Took(d time.Duration) { s.Seconds = math.Round(d.Seconds()*1000) / 1000 }

// Lasted returns the duration of s for people, or "" if it is below 0.1 s.
func (s Step) Lasted() string {
	if s.Seconds < 0.1 {
		return ""
	}
	return fmt.Sprintf("%.1f s", s.Seconds)
}

// Passed reports whether s has the outcome OK or Warning.
func (s Step) Passed() bool { return s.Outcome == OK || s.Outcome == Warning }

// AddFact adds a fact, unless the value is empty. A time becomes text in the format of
// RFC 3339.
func (s *Step) AddFact(name string, value any) {
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

// AddFinding adds a problem. It never improves the outcome.
func (s *Step) AddFinding(o Outcome, cause, remedy string) {
	if s.Outcome != Failed {
		s.Outcome = o
	}
	s.Cause = Join(s.Cause, "; ", cause)
	s.Remedy = Join(s.Remedy, " ", remedy)
}

// Join joins two texts by separator. If one is empty, it returns the other.
func Join(a, separator, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + separator + b
}
