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

	// Withdrawn is the provider's word, in one line, that a person must
	// authorize the account again. It is empty while the grant is good. The
	// tokens are kept all the same, until a new grant replaces them.
	Withdrawn string `json:"withdrawn,omitempty"`
}

// A State is where an account stands between the provider and the person.
type State string

const (
	Authorized         State = "authorized"          // a token is there, or can be had
	NeedsAuthorization State = "needs authorization" // never authorized, or withdrawn
	Failing            State = "failing"             // authorized, but the provider gives no token now
)

// A Status tells how an account stands, without its secrets.
type Status struct {
	State     State
	Why       string    // in one line, for a person; empty if all is well
	Expiry    time.Time // of the access token; zero if there is none
	Obtained  time.Time // when a person last consented; zero if never
	Refreshed time.Time // when a token was last got by refresh; zero if never
}
