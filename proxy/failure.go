package proxy

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/xoauthd/xoauthd/internal/text"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Result is how a session went: the word for it in the log and the metrics.
type Result string

// The results of a session.
const (
	OK                 Result = "ok"                  // logged in, and relayed until one side left
	NoLogin            Result = "no_login"            // the client left without trying
	IncompleteLogin    Result = "incomplete_login"    // the client tried, but never sent a user name and a password
	BadCredentials     Result = "bad_credentials"     // unknown login, wrong password, disabled account
	TooManyGuesses     Result = "too_many_guesses"    // of passwords; this one was not looked at
	NeedsAuthorization Result = "needs_authorization" // a person must authorize the account
	ProviderDown       Result = "provider_down"       // no access token for now
	Misconfigured      Result = "misconfigured"       // the operator must mend something
	UpstreamDown       Result = "upstream_down"       // the mail server is not there, or not ready
	UpstreamRefused    Result = "upstream_refused"    // the mail server does not let the account in
	TooManySessions    Result = "too_many_sessions"   // of the account, or in all
	Forbidden          Result = "forbidden"           // who connects must not, whatever the password
	TLSFailed          Result = "tls_failed"          // the client and we found no way into TLS
	Violation          Result = "violation"           // the client does not speak the protocol
	TimedOut           Result = "timed_out"           // the client took too long to log in
	Stopping           Result = "stopping"            // xoauthd stops
	Revoked            Result = "revoked"             // the account's grant was revoked during the login
	Internal           Result = "internal"            // a mistake in xoauthd
)

// An answer is what a result means to everybody.
type answer struct {
	imap  imap.ResponseCode // RFC 5530
	smtp  string            // reply code (RFC 4954) and enhanced code (RFC 3463)
	pop3  string            // response code (RFC 2449, RFC 3206)
	text  string            // to the client
	level slog.Level
}

// answers says what each result that is not OK means. Nobody else chooses a
// code, a text or a level. Only the first says that the password is wrong: a
// mail program that hears so of a passing fault forgets the right one, and an
// MTA that hears 5xx bounces instead of queueing.
var answers = map[Result]answer{
	BadCredentials:     {imap.ResponseCodeAuthenticationFailed, "535 5.7.8", "AUTH", "unknown user name or wrong password", slog.LevelWarn},
	TooManyGuesses:     {imap.ResponseCodeUnavailable, "454 4.7.0", "SYS/TEMP", "too many wrong passwords; try again later", slog.LevelWarn},
	NeedsAuthorization: {imap.ResponseCodeContactAdmin, "454 4.7.0", "SYS/PERM", "this account must be authorized by a person", slog.LevelError},
	ProviderDown:       {imap.ResponseCodeUnavailable, "454 4.4.3", "SYS/TEMP", "the provider gives no access token for now; try again later", slog.LevelWarn},
	Misconfigured:      {imap.ResponseCodeContactAdmin, "454 4.3.5", "SYS/PERM", "xoauthd is not configured for this; see its log", slog.LevelError},
	UpstreamDown:       {imap.ResponseCodeUnavailable, "454 4.4.1", "SYS/TEMP", "the mail server cannot be reached or is not ready; try again later", slog.LevelWarn},
	UpstreamRefused:    {imap.ResponseCodeAuthorizationFailed, "454 4.7.1", "SYS/PERM", "the mail server does not let the account in", slog.LevelError},
	TooManySessions:    {imap.ResponseCodeLimit, "454 4.3.2", "IN-USE", "too many sessions; try again later", slog.LevelWarn},
	Forbidden:          {imap.ResponseCodeNoPerm, "454 4.7.1", "SYS/PERM", "access denied", slog.LevelWarn},
	TLSFailed:          {imap.ResponseCodeUnavailable, "454 4.7.0", "SYS/TEMP", "TLS failed", slog.LevelWarn},
	Violation:          {imap.ResponseCodeClientBug, "500 5.5.2", "SYS/PERM", "protocol error before login", slog.LevelWarn},
	TimedOut:           {imap.ResponseCodeUnavailable, "421 4.4.2", "SYS/TEMP", "the time limit is reached; connect again", slog.LevelInfo},
	Stopping:           {imap.ResponseCodeUnavailable, "421 4.3.2", "SYS/TEMP", "xoauthd is stopping; try again in a moment", slog.LevelInfo},
	Revoked:            {imap.ResponseCodeContactAdmin, "421 4.7.0", "SYS/PERM", "the grant of this account was revoked", slog.LevelInfo},
	Internal:           {imap.ResponseCodeServerBug, "454 4.3.0", "SYS/TEMP", "internal error; see the log of xoauthd", slog.LevelError},
	NoLogin:            {imap.ResponseCodeUnavailable, "421 4.4.2", "SYS/TEMP", "good bye", slog.LevelDebug},
	IncompleteLogin:    {imap.ResponseCodeUnavailable, "421 4.4.2", "SYS/TEMP", "good bye", slog.LevelInfo},
}

// An Error is a failure with its kind. The cause is for the log; the client is
// told the text of its kind, and Detail.
type Error struct {
	Result Result
	Detail string // for the client: a link, or the upstream's own words without codes
	Err    error

	upstream *Upstream // which it is about, if any
	words    string    // of the upstream, with its codes
}

// Words are what the upstream said, with its codes; empty if it said nothing.
func (e *Error) Words() string { return e.words }

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Detail
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Fail returns err as a failure of kind r, of which the client learns nothing
// but the kind.
func Fail(r Result, err error) error { return &Error{Result: r, Err: err} }

// Words are what an upstream said with err, or otherwise err itself, in one line
// for a person.
func Words(err error) string {
	if e := failure(err); e.words != "" {
		return text.Line(e.words, maxReason)
	}
	return reason(err)
}

// panicked is a panic as an error.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// where is the stack, from the function that panicked on.
func (p *panicked) where() string {
	stack := string(p.stack)
	if _, below, ok := strings.Cut(stack, "\npanic("); ok {
		_, stack, _ = strings.Cut(below, "\n")
		_, stack, _ = strings.Cut(stack, "\n")
	}
	return text.Cut(stack, 4000)
}

// failure returns err as an Error: as the one that it is or wraps, or of the
// kind that a dialogue with a client can end in.
func failure(err error) *Error {
	var e *Error
	var violation wire.Violation
	var noTLS *wire.TLSError
	var network net.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &violation):
		return &Error{Result: Violation, Detail: violation.Error(), Err: err}
	case errors.As(err, &noTLS):
		return &Error{Result: TLSFailed, Err: err}
	case errors.Is(err, wire.ErrInterrupted):
		return &Error{Result: Stopping, Err: err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Result: TimedOut, Err: err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, net.ErrClosed), errors.As(err, &network):
		return &Error{Result: NoLogin, Err: err}
	}
	return &Error{Result: Internal, Err: err}
}

// maxReason bounds what the log says of a failure, in octets.
const maxReason = 1000

// maxDetail bounds what a client is told in an upstream's words: with the rest
// it must fit a reply line of SMTP and of POP3, both 512 octets (RFC 5321 section
// 4.5.3.1.5, RFC 2449 section 4).
const maxDetail = 300

// text is what the client is told, in ASCII: neither a reply of SMTP nor a
// response text of IMAP may be anything else.
func (e *Error) text() string {
	reply := answers[e.Result].text
	if e.Detail != "" {
		reply += ": " + strings.ReplaceAll(text.Line(e.Detail, maxDetail), "…", "...")
	}
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, reply)
}

// level is the level at which a session that ended in r is logged.
func (r Result) level() slog.Level { return answers[r].level } // OK: Info, the zero level

// results are all of them, for the metrics.
func results() []Result {
	all := []Result{OK}
	for r := range answers {
		all = append(all, r)
	}
	return all
}

// reason is err for the log: its kind is said beside it.
func reason(err error) string {
	return text.Line(fmt.Sprint(err), maxReason)
}
