package authorize

import (
	"errors"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
)

// A Candidate is a grant with less access than the present grant of its account. It is
// not in use until a person confirms the replacement. Call exactly one of its methods,
// and only once.
type Candidate struct {
	res     *resultBuilder
	grant   oauth.Grant
	trials  []Trial
	present auth.Access // access of the grant that it was compared with
}

// Confirm replaces the present grant with c, unless another grant has replaced it since
// the comparison.
func (c *Candidate) Confirm() Result {
	result, err := c.res.keep(c.grant, c.trials, c.present)
	if errors.Is(err, auth.ErrReplaced) {
		c.Discard()
		return c.res.finish(superseded, "The account was authorized again in the meantime. Nothing was changed.")
	}
	return result
}

// Reject discards c. The present grant stays in use.
func (c *Candidate) Reject() Result {
	c.Discard()
	return c.res.finish(notConfirmed, "The new authorization was not confirmed. Nothing was changed.")
}

// Discard is Reject without a Result.
func (c *Candidate) Discard() { c.res.discard(c.grant) }

// discard discards g, unless it was imported: the program that it came from may still
// use it.
func (res *resultBuilder) discard(g oauth.Grant) {
	if !res.imported {
		res.account.Grants.Discard(g)
	}
}

// keepOrAsk keeps g. If g has less access than the present grant, it returns a Result
// with a Candidate instead.
func (res *resultBuilder) keepOrAsk(g oauth.Grant, trials []Trial) Result {
	a := res.account
	for {
		present := a.Grants.Access()
		if lost := lostAccess(g, present, trials, a.Registration.Scopes); lost != "" {
			result := res.finish(confirmationNeeded, "The new authorization "+lost+", unlike the present one. Programs that need it would stop working.")
			result.Title = "Replace the present authorization of " + a.Name + "?"
			result.Candidate = &Candidate{res, g, trials, present}
			return result
		}
		result, err := res.keep(g, trials, present)
		if !errors.Is(err, auth.ErrReplaced) {
			return result
		}
	}
}

// lostAccess describes the access that the present grant has and g lacks, limited to the
// protocols in trials and the scopes in asked. It returns "" if g lacks nothing. If the
// access of the present grant is unknown, lostAccess assumes access to all protocols.
func lostAccess(g oauth.Grant, present auth.Access, trials []Trial, asked []string) string {
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
