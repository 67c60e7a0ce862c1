package proxy

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"

	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
)

// Down returns an error of a dialogue with u as a failure that does not concern the
// account. Secrets in the words of u are hidden.
func (u *Upstream) Down(err error) *Error {
	r, _ := refused(err, false)
	return u.failure(UpstreamDown, r, err)
}

// Refused returns an error of a login at u: UpstreamRefused if u has refused it
// permanently, otherwise as Down does. certain says that the reply can only concern the
// credentials. Secrets in the words of u are hidden.
func (u *Upstream) Refused(err error, certain bool) *Error {
	r, ok := refused(err, certain)
	if !ok || r.passing {
		return u.Down(err)
	}
	return u.failure(UpstreamRefused, r, err)
}

func (u *Upstream) failure(result Result, r refusedReply, err error) *Error {
	return &Error{
		Result:   result,
		Detail:   u.secrets().Redact(r.text),
		Err:      u.secrets().Error(err),
		upstream: u,
		words:    u.secrets().Redact(r.words),
	}
}

// opensLater reports whether the login succeeded, but another session has the mailbox, or
// has just had it (RFC 2449 sections 8.1.1 and 8.1.2).
func opensLater(err error) bool {
	var r *pop3dialogue.Refusal
	return errors.As(err, &r) && (strings.EqualFold(r.Code, "IN-USE") || strings.EqualFold(r.Code, "LOGIN-DELAY"))
}

// aboutPassword matches the response codes for a wrong password.
var aboutPassword = regexp.MustCompile(`(?i)\[(AUTHENTICATIONFAILED|AUTH|EXPIRED)\] ?`)

// A refusedReply is the reply with which an upstream refused a login.
type refusedReply struct {
	words   string // the whole reply
	text    string // without codes, which the client would apply to its own login
	passing bool   // temporary
}

// refused returns the reply of an upstream in an error of our dialogues, of go-imap or of
// go-smtp. If certain is true, ambiguous replies count as permanent. ok is false for other
// errors.
func refused(err error, certain bool) (r refusedReply, ok bool) {
	var i *imap.Error
	var refusal *smtpdialogue.Refusal
	var s *smtp.SMTPError
	var pop3 *pop3dialogue.Refusal
	switch {
	case errors.As(err, &i):
		r = refusedIMAP(i, certain)
	case errors.As(err, &pop3):
		r = refusedReply{pop3.Error(), pop3.Text, pop3.Temporary()}
	case errors.As(err, &refusal):
		r = refusedReply{refusal.Error(), refusal.Message, refusal.Temporary()}
	case errors.As(err, &s):
		refusal = &smtpdialogue.Refusal{SMTPError: *s}
		if s.EnhancedCode == smtp.EnhancedCodeNotSet {
			refusal.EnhancedCode = smtp.NoEnhancedCode
		}
		r = refusedReply{refusal.Error(), refusal.Message, refusal.Temporary()}
	default:
		return r, false
	}
	r.text = strings.TrimSpace(aboutPassword.ReplaceAllString(r.text, ""))
	r.passing = r.passing || saysUnavailable(r.text)
	return r, true
}

func refusedIMAP(e *imap.Error, certain bool) refusedReply {
	r := refusedReply{words: string(e.Type) + " ", text: e.Text}
	if e.Code != "" {
		r.words += "[" + string(e.Code) + "] "
	}
	r.words += e.Text
	switch imap.ResponseCode(strings.ToUpper(string(e.Code))) {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeLimit, imap.ResponseCodeServerBug:
		r.passing = true
	case imap.ResponseCodeAlert:
		// Gmail's "too many simultaneous connections", among others.
		r.passing = !certain
	}
	switch e.Type {
	case imap.StatusResponseTypeBye:
		r.passing = true
	case imap.StatusResponseTypeBad:
		// Microsoft's "request is throttled", or the command is unknown, and another
		// token would not help.
		r.passing = !certain
	}
	return r
}

// unavailable are the words of an outage, in lower case. Many servers send no code:
// Exchange has "NO Server Unavailable. 15" and "-ERR Server Unavailable. 21". "Try again
// later" does not count: servers also send it after too many failed logins.
var unavailable = []string{
	"server unavailable", "service unavailable", "service is unavailable", "service not available",
	"temporarily unavailable", "currently unavailable", "backend unavailable",
	"temporary failure", "temporary error", "temporary problem", "temporary system", "temporary server", "temporary authentication failure",
	"internal error", "internal server error", "server error", "system error", "backend error",
	"server busy", "server is busy", "server too busy", "service busy",
	"connection lost to authentication server",
}

func saysUnavailable(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(unavailable, func(words string) bool { return strings.Contains(text, words) })
}
