// Package oauth obtains tokens from OAuth 2.0 providers: grants to which a person consents, by
// a code of the authorization endpoint or on another device, and access tokens by refresh
// token, client credentials, service account, password or command.
//
// What a provider sends is checked, bounded and redacted before anything else sees it.
package oauth

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

	// Requested has the scopes of the authorization request, of all resources; empty if they
	// are not known.
	Requested string `json:"requested,omitempty"`

	// Tokens are the access tokens for the other resources than Mail. A Grant that shares
	// them must not change them.
	Tokens map[Resource]Token `json:"tokens,omitempty"`

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
	// ExpiryMargin is how long before its expiry an access token is replaced: some servers end a
	// session with its token, and some refuse a token that expires soon.
	ExpiryMargin = 5 * time.Minute

	// ClockTolerance is how far the clock may be behind the time of issue. NTP sets a clock back
	// by seconds; after more than a minute the expiry means nothing.
	ClockTolerance = time.Minute
)

// Empty reports whether there are no tokens.
func (g Grant) Empty() bool { return g.AccessToken == "" && g.RefreshToken == "" }

// Issued returns when the access token was issued.
func (g Grant) Issued() time.Time {
	if g.Refreshed.After(g.Obtained) {
		return g.Refreshed
	}
	return g.Obtained
}

// Alive reports whether the access token for r is valid. Round removes the monotonic clock,
// which stops while a laptop sleeps.
func (g Grant) Alive(r Resource, now time.Time) bool {
	t := g.Token(r)
	return t.AccessToken != "" && g.Withdrawn == "" &&
		now.Before(t.Expiry.Round(0)) &&
		now.After(t.Issued.Round(0).Add(-ClockTolerance))
}

// Fresh reports whether the access token for r need not be replaced yet. A token that cannot
// be refreshed is never replaced.
func (g Grant) Fresh(r Resource, now time.Time, refreshable bool) bool {
	t := g.Token(r)
	margin := min(ExpiryMargin, t.Expiry.Sub(t.Issued)/2)
	if !refreshable {
		margin = 0
	}
	return g.Alive(r, now) && g.Alive(r, now.Add(margin))
}
