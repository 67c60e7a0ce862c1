// Package api is the admin API: HTTP and JSON on a unix socket in the state directory. The
// commands use it to let the daemon, which alone may use the grants, do the work.
// docs/api.md describes it for other programs.
package api

import (
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/step"
)

// SocketPath returns the path of the API's socket in a state directory.
func SocketPath(stateDirectory string) string { return filepath.Join(stateDirectory, "control") }

// versionHeader is the header of responses with the version of xoauthd.
const versionHeader = "Xoauthd-Version"

// Status is the state of the daemon itself.
type Status struct {
	Version     string `json:"version"`
	Running     bool   `json:"running"`           // false if a command serves the API because no daemon runs
	Fingerprint string `json:"fingerprint"`       // of the configuration that it has read
	Warning     string `json:"warning,omitempty"` // what is wrong with the daemon itself
}

// Accounts is the response with all accounts.
type Accounts struct {
	Accounts []Account `json:"accounts"` // in the order of their names
}

// An Account is the state of an account.
type Account struct {
	Name     string    `json:"account"`
	Pattern  string    `json:"pattern,omitempty"` // the pattern of the configuration that it is a mailbox of
	Provider string    `json:"provider"`          // name in the configuration
	Flow     flow.Flow `json:"flow"`
	Enabled  bool      `json:"enabled"`
	How      string    `json:"how,omitempty"` // how to authorize the account, if that is needed
	auth.Status
}

// A CheckRequest checks an account.
type CheckRequest struct {
	SendTo string `json:"send_to,omitempty"` // address that a test message is sent to; empty: none is sent
}

// An ImportRequest imports a refresh token of another program.
type ImportRequest struct {
	RefreshToken string `json:"refresh_token"`
}

// A RevokeRequest revokes a grant.
type RevokeRequest struct {
	Local bool `json:"local,omitempty"` // delete it without asking the provider to revoke it
}

// A Revocation is the result of a RevokeRequest.
type Revocation struct {
	Provider    string    `json:"provider"` // name for people
	Flow        flow.Flow `json:"flow"`
	Interactive bool      `json:"interactive"`    // a person must authorize the account before it is used again
	Deleted     bool      `json:"deleted"`        // there was a grant or, without a person, an access token
	Revoked     bool      `json:"revoked"`        // the provider has revoked the grant
	Revocable   bool      `json:"revocable"`      // the provider has an endpoint for that
	Sessions    int       `json:"sessions_ended"` // sessions of the account that the revocation ended
}

// An Event is one line of a stream. It has one of the first members. If it has Answer, the
// daemon waits until an Answer is posted to that path.
type Event struct {
	Step    *step.Step        `json:"step,omitempty"`    // of a check
	Consent *Consent          `json:"consent,omitempty"` // needs an answer
	Device  *DeviceCode       `json:"device,omitempty"`
	Confirm *authorize.Result `json:"confirm,omitempty"` // needs an answer
	Result  *authorize.Result `json:"result,omitempty"`
	Error   *Error            `json:"error,omitempty"`
	Answer  string            `json:"answer,omitempty"`
}

// A Consent is what a person must do in a browser. The answer is the address at which the
// browser ended.
type Consent struct {
	Provider string `json:"provider"`           // name for people
	URL      string `json:"url"`                // to open
	Redirect string `json:"redirect_url"`       // start of the address at which the browser ends
	URI      string `json:"register_uri"`       // redirect URI to register at the provider
	Note     string `json:"note,omitempty"`     // why URI differs from Redirect
	Rejected string `json:"rejected,omitempty"` // why the last answer is not that address
}

// A DeviceCode is what a person must enter in a browser on any device.
type DeviceCode struct {
	Provider string    `json:"provider"`           // name for people
	URL      string    `json:"url"`                // to open
	Complete string    `json:"complete,omitempty"` // URL that contains the code
	Code     string    `json:"code"`
	Expiry   time.Time `json:"expiry"` // of the code
}

// An Answer answers an Event.
type Answer struct {
	Address string `json:"address,omitempty"` // to Consent: the address at which the browser ended
	Replace bool   `json:"replace,omitempty"` // to Confirm: whether to replace the present grant
}

// An Error is the reason why a request failed.
type Error struct {
	Status int    `json:"-"`                // HTTP status; 0 is 500
	What   string `json:"error"`            // what failed, for which object
	Why    string `json:"reason,omitempty"` // empty if What says it
	Hint   string `json:"hint,omitempty"`   // what to do
}

// Error returns the members of e as text.
func (e *Error) Error() string {
	text := e.What
	if e.Why != "" {
		text += ": " + e.Why
	}
	if e.Hint != "" {
		text += "\n" + e.Hint
	}
	return text
}

// asError returns err as an Error. Of another error, the first line is What, and the others
// are the Hint.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	what, hint, _ := strings.Cut(err.Error(), "\n")
	return &Error{What: what, Hint: hint}
}
