package auth

import "time"

// A State is the state of an account.
type State string

const (
	Authorized         State = "authorized"          // there is a token, or it can be refreshed
	NeedsAuthorization State = "needs authorization" // never authorized, withdrawn, or unreadable
	Failing            State = "failing"             // authorized, but the provider issues no token, or a mail server refuses it
)

// A Status is the state of an account without secrets.
type Status struct {
	State     State     `json:"state"`
	Why       string    `json:"why,omitempty"`      // in one line; empty without a problem
	Hint      string    `json:"hint,omitempty"`     // remedy in one line; empty if it is not known
	Expiry    time.Time `json:"expiry,omitzero"`    // of the access token; zero if there is none
	Obtained  time.Time `json:"consented,omitzero"` // when a person last consented; zero if never
	Refreshed time.Time `json:"refreshed,omitzero"` // last refresh; zero if never
	Identity  string    `json:"identity,omitempty"` // address of the person who consented; empty if it is not known
	Ends      time.Time `json:"ends,omitzero"`      // when the provider will end the grant; zero if not announced

	Problems []Problem            `json:"problems,omitempty"`    // the most important first; Why and Hint are those of the first
	Logins   map[string]time.Time `json:"last_logins,omitempty"` // last accepted login, by protocol
}
