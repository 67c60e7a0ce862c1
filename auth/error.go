package auth

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

// ErrNeedsAuthorization is what errors.Is finds in every error that only a
// person can mend, by authorizing the account (again).
var ErrNeedsAuthorization = errors.New("the account must be authorized")

// ErrRefused is what errors.Is finds where there is nothing to log in with but
// what a mail server has just refused, and no failure of the provider's is to blame.
var ErrRefused = errors.New("the mail server refuses what the account logs in with")

// ErrRevoked is what errors.Is finds in the ErrNeedsAuthorization of an account
// whose grant was revoked by somebody here: the error tells who, and when.
var ErrRevoked = errors.New("the grant was revoked")

// A Kind is who can mend a failure: nobody has to, a person, or the operator.
type Kind int

const (
	// Passing is a fault that may be gone at the next try: network, server,
	// throttling, an answer that cannot be understood. The grant is good for
	// all that is known.
	Passing Kind = iota

	// Consent means that a person must authorize the account (again).
	Consent

	// Misconfigured means that the provider does not take the registration:
	// the operator must mend the client id, the secret or the scopes.
	Misconfigured
)

// String is the kind's name in logs and metrics.
func (k Kind) String() string {
	switch k {
	case Consent:
		return "needs_authorization"
	case Misconfigured:
		return "misconfigured"
	}
	return "passing"
}

// An Error is why there is no access token.
type Error struct {
	Kind        Kind
	Code        string        // the error code of RFC 6749 section 5.2, if one was sent
	Description string        // the provider's words for it, made harmless
	Status      int           // of HTTP; 0 if no answer came or the answer is not at fault
	RetryAfter  time.Duration // how long the provider asked to be left alone
	Err         error         // what happened, where no code was sent
	Family      string        // of the provider, as in Provider

	refused  bool   // by a mail server: see ErrRefused
	revoked  bool   // see ErrRevoked
	lost     bool   // no answer was received, though the request may have been
	endpoint string // that was asked; empty for that of tokens
	hint     string // where more is known than code and description tell
}

// maxText bounds what an error says. Entra's longest descriptions still show
// their code and first sentence.
const maxText = 300

// Error is one harmless line that holds no secret.
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
	return oneLine(words)
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes every failure that a person must mend an ErrNeedsAuthorization, a
// refusal by a mail server an ErrRefused, and a revocation an ErrRevoked.
func (e *Error) Is(target error) bool {
	return target == ErrNeedsAuthorization && e.Kind == Consent || target == ErrRefused && e.refused || target == ErrRevoked && e.revoked
}

// oneLine returns a text for a log, a reply or a page.
func oneLine(s string) string { return text.Line(s, maxText) }

// A lostAnswer is the error of a request that was sent, and of which the answer did
// not arrive, or not as a whole.
type lostAnswer struct{ error }

func (e *lostAnswer) Unwrap() error { return e.error }

// kind doubts in favour of the grant: what is not known for certain to need a
// person or the operator is passing. (RFC 6749 section 5.2; OpenID Connect Core
// section 3.1.2.6 for the codes of Consent; RFC 8707 for invalid_target. The last of
// each kind are those of Yahoo, in capitals there, of Zoho, Microsoft and Google.)
func kind(status int, code, description string) Kind {
	if status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500 {
		return Passing
	}
	switch strings.ToLower(code) {
	case "invalid_grant", "interaction_required", "consent_required", "login_required",
		"invalid_refresh_token", "token_expired", "account_not_authorized", "invalid_code", "access_denied":
		if throttled(description) {
			return Passing
		}
		return Consent
	case "invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "invalid_request",
		"invalid_resource", "invalid_target", "invalid_client_secret", "deleted_client", "disabled_client", "admin_policy_enforced", "org_internal":
		return Misconfigured
	}
	return Passing
}

// throttled reports whether Entra, by its own code, only wants to be asked
// later: it says invalid_grant to a client that it throttles, too.
func throttled(description string) bool {
	return slices.ContainsFunc(entraCodes(description), func(number string) bool {
		return slices.Contains([]string{"50196", "50033", "50087", "90006", "90024", "90033", "90055"}, number)
	})
}

// retryAfter reads the header's two forms (RFC 9110 section 10.2.3).
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
