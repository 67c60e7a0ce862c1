package authorize

import (
	"errors"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/auth"
)

// A Candidate is a grant that opens less than the present one of its account. It is
// not in use until a person confirms that it shall replace that one. Either Confirm
// or Reject is to be called, once.
type Candidate struct {
	res     *result
	grant   auth.Grant
	trials  []Trial
	present auth.Access // of the grant that it was compared with
}

// Confirm replaces the present grant by the candidate, unless another has replaced
// it since the person was asked.
func (c *Candidate) Confirm() Outcome {
	o, err := c.res.keep(c.grant, c.trials, c.present)
	if errors.Is(err, auth.ErrReplaced) {
		c.Drop()
		return c.res.end(superseded, "Somebody has authorized the account meanwhile. Nothing was changed.")
	}
	return o
}

// Reject leaves the present grant in use.
func (c *Candidate) Reject() Outcome {
	c.Drop()
	return c.res.end(notConfirmed, "The new authorization was not confirmed. Nothing was changed.")
}

// Drop is Reject for those who show no outcome.
func (c *Candidate) Drop() { c.res.drop(c.grant) }

// drop discards g, which is not kept. A grant that was brought in still belongs to
// the program that it came from.
func (res *result) drop(g auth.Grant) {
	if !res.brought {
		res.account.Discard(g)
	}
}

// offer keeps g, or asks whether to if it opens less than the present grant.
func (res *result) offer(g auth.Grant, trials []Trial) Outcome {
	a := res.account
	for {
		present := a.Access()
		if lost := lostBy(g, present, trials, a.Registration().Scopes); lost != "" {
			o := res.end(undecided, "The new authorization "+lost+", unlike the present one. Programs that need that would stop working.")
			o.Title = "Replace the present authorization of " + a.Name() + "?"
			o.Candidate = &Candidate{res, g, trials, present}
			return o
		}
		o, err := res.keep(g, trials, present)
		if !errors.Is(err, auth.ErrReplaced) {
			return o
		}
	}
}

// lostBy tells what g does not open and the present grant does, of what is tried and
// asked for; nothing if there is no such thing. A grant of which it is not known
// what it opens is taken for one that opens everything.
func lostBy(g auth.Grant, present auth.Access, trials []Trial, asked []string) string {
	if !present.Usable {
		return ""
	}
	var protocols, scopes []string
	for _, l := range trials {
		if l.Err != nil && (!present.Known || slices.Contains(present.Protocols, strings.ToLower(l.Protocol))) {
			protocols = append(protocols, l.Protocol)
		}
	}
	granted := strings.Fields(g.Scope)
	for _, scope := range present.Scopes {
		if len(granted) > 0 && slices.Contains(asked, scope) && !slices.Contains(granted, scope) {
			scopes = append(scopes, scope)
		}
	}
	var lost []string
	if len(protocols) > 0 {
		lost = append(lost, "does not open "+strings.Join(protocols, " and "))
	}
	if len(scopes) > 0 {
		lost = append(lost, "lacks the scope "+strings.Join(scopes, " and "))
	}
	return strings.Join(lost, " and ")
}
