// Package auth keeps the right of accounts to log in at OAuth 2.0 providers:
// it exchanges codes for grants, refreshes access tokens before a login needs
// one, keeps the grants in a store that encrypts them and survives a crash at any
// moment, and checks the local passwords.
//
// What it promises above all: no network fault, HTTP error or malformed answer
// costs a grant, and a refresh token that a provider has put in the place of
// another is on disk before the access token that came with it is used. Where
// the disk is at fault, the grant is used all the same, and saved later.
package auth

import "time"

// A Grant is what a provider gave for one account: the right to log in, for
// the hour of an access token and for as long as the refresh token is good.
type Grant struct {
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	Expiry       time.Time `json:"expiry"`   // of the access token; wall clock
	Obtained     time.Time `json:"obtained"` // when a person last consented
	Refreshed    time.Time `json:"refreshed,omitzero"`

	// Source is where it is from: the host of the token endpoint, the client and,
	// where nobody consented, the flow. Empty is any.
	Source string `json:"source,omitempty"`

	// Ends is when the provider will end the grant, whatever is done; zero if it
	// has not said so.
	Ends time.Time `json:"ends,omitzero"`

	// Scope is what the provider has granted (RFC 6749 section 3.3); empty if it
	// is not known.
	Scope string `json:"scope,omitempty"`

	// Identity is the address of who consented, as an id_token told; empty if
	// none came. It may be another's than the mailbox's: a delegate's, an alias.
	Identity string `json:"identity,omitempty"`

	// IDToken reports that an id_token came with the tokens, whatever it says. It
	// is not kept.
	IDToken bool `json:"-"`

	// Withdrawn is the provider's word, in one line, that a person must
	// authorize the account again. It is empty while the grant is good. The
	// tokens are kept all the same, until a new grant replaces them.
	Withdrawn string `json:"withdrawn,omitempty"`

	// Hint is what helps against that, in one line; empty if it is not known.
	Hint string `json:"hint,omitempty"`
}

const (
	// early is how long before its end an access token is replaced: some
	// servers end a session with its token, and some refuse one about to end.
	early = 5 * time.Minute

	// setBack is by how much the clock may be behind the moment a token was
	// got. NTP takes back seconds; beyond a minute the expiry means nothing.
	setBack = time.Minute
)

// empty reports whether there is nothing to log in with.
func (g Grant) empty() bool { return g.AccessToken == "" && g.RefreshToken == "" }

// issued is when the access token was got.
func (g Grant) issued() time.Time {
	if g.Refreshed.After(g.Obtained) {
		return g.Refreshed
	}
	return g.Obtained
}

// alive reports whether the access token can be used at all. Round strips the
// monotonic clock, which stands still while a laptop sleeps.
func (g Grant) alive(now time.Time) bool {
	return g.AccessToken != "" && g.Withdrawn == "" &&
		now.Before(g.Expiry.Round(0)) &&
		now.After(g.issued().Round(0).Add(-setBack))
}

// fresh reports whether the access token need not be replaced yet: not before
// half of its life, and not at all if it is not renewable.
func (g Grant) fresh(now time.Time, renewable bool) bool {
	margin := min(early, g.Expiry.Sub(g.issued())/2)
	if !renewable {
		margin = 0
	}
	return g.alive(now) && g.alive(now.Add(margin))
}

// A State is where an account stands between the provider and the person.
type State string

const (
	Authorized         State = "authorized"          // a token is there, or can be had
	NeedsAuthorization State = "needs authorization" // never authorized, withdrawn, or not to be read
	Failing            State = "failing"             // authorized, but the provider gives no token, or a mail server refuses it
)

// A Status tells how an account stands, without its secrets.
type Status struct {
	State     State
	Why       string    // in one line, for a person; empty if all is well
	Hint      string    // what helps against that, in one line; empty if it is not known
	Expiry    time.Time // of the access token; zero if there is none
	Obtained  time.Time // when a person last consented; zero if never
	Refreshed time.Time // when a token was last got by refresh; zero if never
	Identity  string    // the address of who consented; empty if it is not known
	Ends      time.Time // when the provider will end the grant; zero if it has not said so

	Problems []Problem            // all that is wrong, the most important first; Why and Hint are those of the first
	Logins   map[string]time.Time // when a mail server last accepted a login, by protocol
}
