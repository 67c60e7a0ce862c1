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
// A step is a step.Step: package step describes its fields. Fields without a value are left
// out, except name, outcome and seconds.
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

	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/text"
)

// A Report is the result of a check.
type Report struct {
	Account string      `json:"account"`
	OK      bool        `json:"ok"`
	Steps   []step.Step `json:"steps"`
}

// NewReport returns an empty report.
func NewReport(account string) *Report {
	return &Report{Account: account, OK: true, Steps: []step.Step{}}
}

// Add adds the next step.
func (r *Report) Add(s step.Step) {
	r.Steps = append(r.Steps, s)
	r.OK = r.OK && s.Passed()
}

// Verdict returns the result in one line.
func (r *Report) Verdict() string {
	n := make(map[step.Outcome]int)
	first := ""
	for _, s := range r.Steps {
		if n[s.Outcome]++; s.Outcome == step.Failed && first == "" {
			first = s.Name
		}
	}
	switch {
	case n[step.Failed] == 1:
		return fmt.Sprintf("%s: 1 step failed: %s.", r.Account, first)
	case n[step.Failed] > 1:
		return fmt.Sprintf("%s: %d steps failed, the first: %s.", r.Account, n[step.Failed], first)
	case n[step.Skipped] > 0:
		return fmt.Sprintf("%s: check incomplete.", r.Account)
	case n[step.Warning] > 0:
		return fmt.Sprintf("%s: all works, with %s.", r.Account, text.Count(n[step.Warning], "warning"))
	}
	return fmt.Sprintf("%s: all checks passed.", r.Account)
}
