// Package auth manages the grants of accounts at OAuth 2.0 providers: it exchanges codes for
// grants, refreshes access tokens before a login needs one, and stores the grants encrypted
// and crash-safe.
//
// No network failure, HTTP error or malformed answer deletes a grant. A rotated refresh token
// is on disk before the access token that came with it is used. If the disk fails, the grant
// is used nevertheless, and saved later.
package auth

import "time"

// A Grant has the tokens of an account.
type Grant struct {
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	Expiry       time.Time `json:"expiry"`   // of the access token; wall clock
	Obtained     time.Time `json:"obtained"` // when a person last consented
	Refreshed    time.Time `json:"refreshed,omitzero"`

	// Source is the host of the token endpoint, the client and, without a consent, the
	// flow. Empty matches any.
	Source string `json:"source,omitempty"`

	// Ends is when the provider will end the grant; zero if it has not announced that.
	Ends time.Time `json:"ends,omitzero"`

	// Scope is the granted scope (RFC 6749 section 3.3); empty if it is not known.
	Scope string `json:"scope,omitempty"`

	// Identity is the address of the person who consented, from the id_token; empty without
	// one. It may differ from the mailbox: a delegate, an alias.
	Identity string `json:"identity,omitempty"`

	// IDToken is true if the answer had an id_token. It is not stored.
	IDToken bool `json:"-"`

	// Withdrawn is the error of the provider after which a person must authorize the
	// account again, in one line. It is empty while the grant is valid. The tokens are kept
	// until a new grant replaces them.
	Withdrawn string `json:"withdrawn,omitempty"`

	// Hint is the remedy for that, in one line; empty if it is not known.
	Hint string `json:"hint,omitempty"`
}

const (
	// early is how long before its expiry an access token is replaced: some servers end a
	// session with its token, and some refuse a token that expires soon.
	early = 5 * time.Minute

	// setBack is how far the clock may be behind the time of issue. NTP sets a clock back
	// by seconds; after more than a minute the expiry means nothing.
	setBack = time.Minute
)

// empty reports whether there are no tokens.
func (g Grant) empty() bool { return g.AccessToken == "" && g.RefreshToken == "" }

// issued returns when the access token was issued.
func (g Grant) issued() time.Time {
	if g.Refreshed.After(g.Obtained) {
		return g.Refreshed
	}
	return g.Obtained
}

// alive reports whether the access token is valid. Round removes the monotonic clock, which
// stops while a laptop sleeps.
func (g Grant) alive(now time.Time) bool {
	return g.AccessToken != "" && g.Withdrawn == "" &&
		now.Before(g.Expiry.Round(0)) &&
		now.After(g.issued().Round(0).Add(-setBack))
}

// fresh reports whether the access token need not be replaced yet. A token that cannot be
// refreshed is never replaced.
func (g Grant) fresh(now time.Time, renewable bool) bool {
	margin := min(early, g.Expiry.Sub(g.issued())/2)
	if !renewable {
		margin = 0
	}
	return g.alive(now) && g.alive(now.Add(margin))
}

// A State is the state of an account.
type State string

const (
	Authorized         State = "authorized"          // there is a token, or it can be refreshed
	NeedsAuthorization State = "needs authorization" // never authorized, withdrawn, or unreadable
	Failing            State = "failing"             // authorized, but the provider issues no token, or a mail server refuses it
)

// A Status is the state of an account without secrets.
type Status struct {
	State     State
	Why       string    // in one line; empty without a problem
	Hint      string    // remedy in one line; empty if it is not known
	Expiry    time.Time // of the access token; zero if there is none
	Obtained  time.Time // when a person last consented; zero if never
	Refreshed time.Time // last refresh; zero if never
	Identity  string    // address of the person who consented; empty if it is not known
	Ends      time.Time // when the provider will end the grant; zero if not announced

	Problems []Problem            // the most important first; Why and Hint are those of the first
	Logins   map[string]time.Time // last accepted login, by protocol
}
