package auth

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"
)

// An Access is what the present grant of an account opens, as far as it is known.
type Access struct {
	// Usable reports whether there is a grant that is worth keeping: no person has
	// to authorize the account.
	Usable bool

	// Known reports whether a mail server has answered a login with the grant. If
	// not, Protocols tells nothing.
	Known bool

	// Protocols are those whose mail servers have accepted a login, and have not
	// refused one since: "imap", for example. They are sorted.
	Protocols []string

	// Scopes are those that the provider has granted; empty if it is not known.
	Scopes []string

	generation int // of the grant
}

// Access tells what the present grant opens. It is of one moment: Replace takes it
// to tell whether the grant is still the same.
func (a *Account) Access() Access {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, unauthorized := a.unauthorized(time.Now())
	access := Access{
		Usable:     !unauthorized && !a.grant.empty(),
		Known:      len(a.logins)+len(a.refusals) > 0,
		Scopes:     splitScope(a.grant.Scope),
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

// ErrReplaced is what errors.Is finds where another grant has come in the place of
// the one that was to be replaced.
var ErrReplaced = errors.New("the account was authorized meanwhile, and that grant is kept")

// Replace puts g, to which a person has consented, in the place of the grant that
// present is of, and returns that one, which is not used any more. It ends a
// refresh that is under way: whoever waits for it gets the token of g.
//
// If the error is an ErrNotSaved, g is in use, but lost if the daemon ends before it
// could be saved after all, and the replaced grant is still on disk. If it is
// ErrReplaced or ErrEarlierKept, nothing has changed.
func (a *Account) Replace(g Grant, present Access) (replaced Grant, err error) {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	replaced, same := a.grant, a.generation == present.generation
	a.mu.Unlock()
	switch {
	case !same:
		return Grant{}, ErrReplaced
	case g.RefreshToken == "" && replaced.RefreshToken != "" && replaced.Withdrawn == "":
		return Grant{}, ErrEarlierKept
	}
	return replaced, a.keep(g)
}

// scopeOf is what the provider has granted with token, of what was asked for: it
// need not say so if that is the same (RFC 6749 section 5.1).
func scopeOf(token *oauth2.Token, asked []string) string {
	scope, _ := token.Extra("scope").(string)
	granted := splitScope(scope)
	if len(granted) == 0 || len(scope) > maxScope {
		granted = asked
	}
	return strings.Join(granted, " ")
}

// maxScope is the longest scope that is kept, in bytes. Those for mail, with all
// that comes with them, have some 300.
const maxScope = 4 << 10

// splitScope takes a scope apart, which some providers separate by commas.
func splitScope(scope string) []string {
	return strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || unicode.IsSpace(r) || !unicode.IsGraphic(r) })
}
