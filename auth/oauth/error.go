package oauth

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/internal/text"
)

// ErrNeedsAuthorization is in the chain of every error after which a person must authorize
// the account.
var ErrNeedsAuthorization = errors.New("the account must be authorized")

// ErrRefused is in the chain if there is no other token than one that a mail server has just
// refused, and the provider has not failed.
var ErrRefused = errors.New("the mail server refuses what the account logs in with")

// ErrRevoked is in the chain of an ErrNeedsAuthorization if the grant was revoked with
// xoauthd. The text says by whom and when.
var ErrRevoked = errors.New("the grant was revoked")

// A Kind says who must act after a failure.
type Kind int

const (
	// Temporary is a temporary failure: network, server, throttling, an invalid answer. The
	// grant is considered valid.
	Temporary Kind = iota

	// NeedsConsent means that a person must authorize the account (again).
	NeedsConsent

	// Misconfigured means that the provider rejects the registration: the administrator
	// must correct the client id, the secret or the scopes.
	Misconfigured
)

// String returns the name for logs and metrics.
func (k Kind) String() string {
	switch k {
	case NeedsConsent:
		return "needs_authorization"
	case Misconfigured:
		return "misconfigured"
	}
	return "unavailable"
}

// An Error says why there is no access token.
type Error struct {
	Kind        Kind
	Code        string        // the error code of RFC 6749 section 5.2, if one was sent
	Description string        // of the provider, as one line without secrets
	Status      int           // HTTP status; 0 without an answer, and for a success
	RetryAfter  time.Duration // of the provider; 0 if none
	Err         error         // the error, if there is no code
	Family      string        // of the provider, as in Provider
	Resource    Resource      // of the token, unless it is Mail

	Refused  bool   // by a mail server: see ErrRefused
	Revoked  bool   // see ErrRevoked
	Lost     bool   // the request may have been processed, but no answer arrived
	endpoint string // name of the endpoint; empty for the token endpoint
	Remedy   string // set if more is known than from code and description
}

// maxText limits the text of an error. The longest descriptions of Entra still show their
// code and first sentence.
const maxText = 300

// Error returns one line without secrets.
func (e *Error) Error() string {
	words := cmp.Or(e.endpoint, "token endpoint")
	switch {
	case e.Err != nil:
		words = e.Err.Error()
	case e.Code != "":
		words += ": " + e.Code
		if e.Description != "" {
			words += ": " + e.Description
		}
	default:
		words += ": HTTP status " + strconv.Itoa(e.Status)
	}
	if e.Resource != "" {
		words = "token for " + string(e.Resource) + ": " + words
	}
	return OneLine(words)
}

func (e *Error) Unwrap() error { return e.Err }

// Is implements errors.Is for ErrNeedsAuthorization, ErrRefused and ErrRevoked.
func (e *Error) Is(target error) bool {
	return target == ErrNeedsAuthorization && e.Kind == NeedsConsent || target == ErrRefused && e.Refused || target == ErrRevoked && e.Revoked
}

// OneLine returns a text as one line of limited length.
func OneLine(s string) string { return text.Line(s, maxText) }

// kind returns the kind of an error. Unless it is certain that a person or the administrator
// must act, it is Temporary. The codes are of RFC 6749 section 5.2, OpenID Connect Core section
// 3.1.2.6 (NeedsConsent) and RFC 8707 (invalid_target). The last of each kind are those of Yahoo
// (in capitals there), Zoho, Microsoft and Google.
func kind(status int, code, description string) Kind {
	if status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500 {
		return Temporary
	}
	switch strings.ToLower(code) {
	case "invalid_grant", "interaction_required", "consent_required", "login_required",
		"invalid_refresh_token", "token_expired", "account_not_authorized", "invalid_code", "access_denied":
		if throttled(description) {
			return Temporary
		}
		return NeedsConsent
	case "invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "invalid_request",
		"invalid_resource", "invalid_target", "invalid_client_secret", "deleted_client", "disabled_client", "admin_policy_enforced", "org_internal":
		return Misconfigured
	}
	return Temporary
}

// throttled reports whether Entra throttles the client: it then sends invalid_grant with a
// code of its own.
func throttled(description string) bool {
	return slices.ContainsFunc(entraCodes(description), func(number string) bool {
		return slices.Contains([]string{"50196", "50033", "50087", "90006", "90024", "90033", "90055"}, number)
	})
}

// retryAfter parses both forms of the header (RFC 9110 section 10.2.3).
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// OfAccount reports whether the provider refuses this one account, and would
// take another with the same registration: its grant has ended, there is no such
// mailbox, or its password is wrong.
func (e *Error) OfAccount() bool {
	return e.Kind == NeedsConsent || e.Kind == Misconfigured && e.Code == "invalid_grant"
}

// NoRefreshToken returns the error of a grant that cannot be refreshed.
func NoRefreshToken() *Error {
	return &Error{Kind: NeedsConsent, Err: errors.New("the provider gave no refresh token with the last authorization")}
}
