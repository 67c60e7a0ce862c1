package auth

import (
	"errors"
	"slices"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// An Access says what the current grant of an account opens, as far as is known.
type Access struct {
	// Usable is true if the account has a grant and needs no authorization.
	Usable bool

	// Known is true if a mail server has answered a login with the grant. Otherwise
	// Protocols means nothing.
	Known bool

	// Protocols are the protocols whose mail servers have accepted a login and have not
	// refused one since, such as "imap", sorted.
	Protocols []string

	// Scopes are the granted scopes; empty if they are not known.
	Scopes []string

	generation int // of the grant
}

// Access returns what the current grant opens. Replace compares it to find out whether the
// grant is still the same.
func (a *Account) Access() Access {
	a.mu.Lock()
	defer a.mu.Unlock()
	access := Access{
		Usable:     a.needsConsent(time.Now()) == nil && !a.grant.Empty(),
		Known:      len(a.logins)+len(a.refusals) > 0,
		Scopes:     a.grant.Scopes(),
		generation: a.generation,
	}
	for protocol := range a.logins {
		if a.refusals[protocol].Kind != ProblemRefused {
			access.Protocols = append(access.Protocols, protocol)
		}
	}
	slices.Sort(access.Protocols)
	return access
}

// ErrReplaced is the error, for errors.Is, if another grant has replaced the one that was to
// be replaced.
var ErrReplaced = errors.New("the account was authorized meanwhile, and that grant is kept")

// Replace replaces the grant of present by g, to which a person has consented, and returns
// the replaced grant. It ends a running refresh: its callers receive the token of g.
//
// After ErrNotSaved, g is in use but not on disk, where the replaced grant still is. g is
// lost if the daemon ends before a later attempt to save it succeeds. After ErrReplaced or
// ErrEarlierKept, nothing has changed.
func (a *Account) Replace(g oauth.Grant, present Access) (replaced oauth.Grant, err error) {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	replaced, same := a.grant, a.generation == present.generation
	a.mu.Unlock()
	switch {
	case !same:
		return oauth.Grant{}, ErrReplaced
	case g.RefreshToken == "" && replaced.RefreshToken != "" && replaced.Withdrawn == "":
		return oauth.Grant{}, ErrEarlierKept
	}
	return replaced, a.keep(g)
}
