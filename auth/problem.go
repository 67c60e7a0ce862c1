package auth

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/text"
)

// A Problem is one thing that is wrong with an account at present.
type Problem struct {
	Part     string      `json:"part"`               // PartProvider, PartStore or the protocol of a mail server, such as "imap"
	Resource string      `json:"resource,omitempty"` // of the provider, such as "graph"; empty for the mail servers
	Kind     ProblemKind `json:"kind"`               // what the failure means
	Text     string      `json:"text"`               // one line, without secrets
	Hint     string      `json:"hint,omitempty"`     // what to do; empty if that is not known
	Since    time.Time   `json:"since,omitzero"`     // the first failure since the last success; zero if it is not known
	Last     time.Time   `json:"last,omitzero"`      // the latest failure
	Count    int         `json:"count,omitempty"`    // failures since the last success

	// Failing reports that programs cannot log in, or soon cannot, unless somebody
	// acts. Account.Status sets it.
	Failing bool `json:"failing"`
}

// The parts of an account that have problems, beside its mail servers.
const (
	PartProvider = "provider" // the token endpoint and the grant
	PartStore    = "store"    // the state directory
)

// A ProblemKind says what a failure means.
type ProblemKind string

// The kinds of problems.
const (
	ProblemAuthorization ProblemKind = "needs_authorization" // a person must authorize the account
	ProblemRefused       ProblemKind = "refused"             // a mail server refuses the account; trying again does not help
	ProblemUnavailable   ProblemKind = "unavailable"         // a server cannot be reached, or is out of order
	ProblemMisconfigured ProblemKind = "misconfigured"       // the configuration, or the registration at the provider, must be corrected
	ProblemUnsaved       ProblemKind = "unsaved"             // the grant is in use, but not on disk
	ProblemEnding        ProblemKind = "ending"              // the provider will end the grant
)

// maxHint limits a hint, in bytes: it may contain a link.
const maxHint = 2000

// lasting is the time for which a mail server must have been unavailable, in at least two
// attempts, before the account counts as failing: most such faults end by themselves.
const lasting = 5 * time.Minute

// again returns the problem after another failure of the same part. A temporary failure does
// not replace a lasting one, which only a success ends.
func (p Problem) again(next Problem) Problem {
	switch {
	case p.Kind == next.Kind:
		next.Since, next.Count = p.Since, p.Count+1
	case p.Kind != "" && next.Kind == ProblemUnavailable:
		return p
	default:
		next.Since, next.Count = next.Last, 1
	}
	return next
}

// lasts reports whether the problem of a mail server makes the account fail: at once if
// another attempt does not help, and otherwise after lasting.
func (p Problem) lasts() bool {
	return p.Kind != ProblemUnavailable || p.Count > 1 && p.Last.Sub(p.Since) >= lasting
}

// LoggedIn records that the mail server for protocol has accepted a login, which ends the
// problem of the protocol.
func (a *Account) LoggedIn(protocol string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.logins == nil {
		a.logins = make(map[string]time.Time)
	}
	_, failed := a.refusals[protocol]
	a.logins[protocol] = time.Now().Round(0)
	delete(a.refusals, protocol)
	a.note(failed)
}

// LoginFailed records that a login at the mail server for protocol has failed. The words say
// why, without secrets. The hint is the remedy, or empty.
func (a *Account) LoginFailed(protocol string, kind ProblemKind, words, hint string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusals == nil {
		a.refusals = make(map[string]Problem)
	}
	p := Problem{Part: protocol, Kind: kind, Hint: text.Line(hint, maxHint), Last: time.Now().Round(0)}
	p.Text = oauth.OneLine(fmt.Sprintf("%s (%s): %s", kind.ofUpstream(), strings.ToUpper(protocol), words))
	before := a.refusals[protocol]
	a.refusals[protocol] = before.again(p)
	a.note(before.Kind != a.refusals[protocol].Kind)
}

// ofUpstream describes the kind of a mail server's problem.
func (k ProblemKind) ofUpstream() string {
	switch k {
	case ProblemRefused:
		return "upstream refused"
	case ProblemUnavailable:
		return "upstream unavailable"
	}
	return string(k)
}

// problems returns the present problems, the most important first. The caller holds mu.
func (a *Account) problems(now time.Time) []Problem {
	if e := a.needsConsent(now); e != nil {
		return []Problem{{Part: PartProvider, Kind: ProblemAuthorization, Text: e.Error(), Hint: e.Remedy, Failing: true}}
	}
	var all []Problem
	for r, state := range a.states {
		if p := state.failed; p.Kind != "" {
			p.Failing = p.Kind == ProblemMisconfigured || !a.grant.Alive(r, now)
			all = append(all, p)
		}
	}
	for _, p := range a.refusals {
		p.Failing = p.lasts()
		all = append(all, p)
	}
	if a.unsaved != nil {
		all = append(all, Problem{Part: PartStore, Kind: ProblemUnsaved, Text: oauth.OneLine(a.unsaved.Error())})
	}
	if ends := a.grant.Ends; !ends.IsZero() {
		all = append(all, Problem{
			Part: PartProvider, Kind: ProblemEnding, Hint: oauth.HintTesting,
			Text: "the provider ends this grant on " + ends.Local().Format("2 January 2006"),
		})
	}
	slices.SortStableFunc(all, func(x, y Problem) int { return cmp.Compare(x.rank(), y.rank()) })
	return all
}

// rank orders problems: first those that make logins fail, and of these the provider's, which
// may cause the others.
func (p Problem) rank() string {
	place := "2 "
	switch {
	case p.Part == PartProvider && p.Failing:
		place = "0 "
	case p.Failing:
		place = "1 "
	case p.Kind == ProblemEnding:
		place = "3 "
	}
	return place + p.Part + " " + p.Resource
}

// needsConsent returns why a person must authorize the account, or nil. It is the one place
// that knows when a grant is of no use. The caller holds mu.
func (a *Account) needsConsent(now time.Time) *oauth.Error {
	g := a.grant
	switch {
	case a.damage != nil: // an administrator may also restore the file
		return &oauth.Error{Kind: oauth.NeedsConsent, Err: a.damage}
	case g.Withdrawn != "":
		return &oauth.Error{Kind: oauth.NeedsConsent, Err: errors.New(g.Withdrawn), Remedy: g.Hint}
	case !a.Interactive():
		return nil
	case g.Empty() && a.revoked != nil:
		return &oauth.Error{Kind: oauth.NeedsConsent, Revoked: true, Err: errors.New(a.revoked.String())}
	case g.Empty():
		return &oauth.Error{Kind: oauth.NeedsConsent, Err: errors.New("the account has never been authorized")}
	case g.RefreshToken == "" && !g.Alive(oauth.Mail, now):
		return oauth.NoRefreshToken()
	}
	return nil
}

// failedRefresh returns the problem of an account whose refresh for r failed with e.
func failedRefresh(r oauth.Resource, e *oauth.Error, now time.Time) Problem {
	p := Problem{Part: PartProvider, Kind: ProblemUnavailable, Text: e.Error(), Hint: e.Hint(), Last: now.Round(0)}
	if r != oauth.Mail {
		p.Resource = string(r)
	}
	switch e.Kind {
	case oauth.Misconfigured:
		p.Kind = ProblemMisconfigured
	case oauth.NeedsConsent:
		p.Kind = ProblemAuthorization
	}
	return p
}
