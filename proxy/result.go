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

// A Result is the result of a session, as in log and metrics.
type Result string

// The results of a session.
const (
	OK                 Result = "ok"                  // logged in, and relayed until one side closed
	NoLogin            Result = "no_login"            // the client left without a login attempt
	IncompleteLogin    Result = "incomplete_login"    // no attempt had a user name and a password
	BadCredentials     Result = "bad_credentials"     // unknown login, wrong password, disabled account
	TooManyGuesses     Result = "too_many_guesses"    // the password was not checked
	NeedsAuthorization Result = "needs_authorization" // a person must authorize the account
	ProviderDown       Result = "provider_down"       // no access token at the moment
	Misconfigured      Result = "misconfigured"       // the administrator must correct something
	UpstreamDown       Result = "upstream_down"       // the mail server cannot be reached, or is not ready
	UpstreamRefused    Result = "upstream_refused"    // the mail server refused the login of the account
	TooManySessions    Result = "too_many_sessions"   // a limit is reached
	Forbidden          Result = "forbidden"           // the listener does not accept this client
	TLSFailed          Result = "tls_failed"          // the TLS handshake failed
	Violation          Result = "violation"           // the client violates the protocol
	TimedOut           Result = "timed_out"           // the client took too long to log in
	Stopping           Result = "stopping"            // xoauthd stops
	Revoked            Result = "revoked"             // the account's grant was revoked during the login
	Internal           Result = "internal"            // a bug in xoauthd
)

// An answer has the replies and the log level of a result.
type answer struct {
	imap  imap.ResponseCode // RFC 5530
	smtp  string            // reply code (RFC 4954) and enhanced code (RFC 3463)
	pop3  string            // response code (RFC 2449, RFC 3206)
	text  string            // to the client
	level slog.Level
}

// answers has the answer of each result except OK. Codes, texts and levels are defined here
// only. Only BadCredentials says that the password is wrong: after that, a mail program
// forgets the password, and an MTA that receives 5xx bounces instead of queueing.
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

// An Error is a failure with its result. Err is for the log; the client receives the text
// of the result and Detail.
type Error struct {
	Result Result
	Detail string // for the client: a link, or the reply of the upstream without codes
	Err    error

	reply string // of the upstream, with its codes
	hint  string // see errorHint
}

// Reply returns the reply of the upstream with its codes; empty if there is none.
func (e *Error) Reply() string { return e.reply }

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Detail
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Fail returns err as an *Error with result r and without a Detail for the client.
func Fail(r Result, err error) error { return &Error{Result: r, Err: err} }

// Reply returns the reply of the upstream in err, or otherwise the text of err, in one
// line.
func Reply(err error) string {
	if e := asError(err); e.reply != "" {
		return text.Line(e.reply, maxReason)
	}
	return logText(err)
}

// asError returns err as an *Error: the one in its chain, or one for an error of a dialogue
// with a client.
func asError(err error) *Error {
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

// maxReason limits an error in the log, in bytes.
const maxReason = 1000

// maxDetail limits the Detail for a client, in bytes. With the rest it must fit into a reply
// line of SMTP and POP3, both 512 bytes (RFC 5321 section 4.5.3.1.5, RFC 2449 section 4).
const maxDetail = 300

// text returns the reply for the client, in ASCII, as SMTP and IMAP require.
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

// Level returns the log level of a session with result r.
func (r Result) Level() slog.Level { return answers[r].level } // OK: Info, the zero level

// results returns all results, for the metrics.
func results() []Result {
	all := []Result{OK}
	for r := range answers {
		all = append(all, r)
	}
	return all
}

// logText returns the text of err for the log.
func logText(err error) string {
	return text.Line(fmt.Sprint(err), maxReason)
}
