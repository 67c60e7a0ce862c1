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

// AsUnavailable returns an error of a dialogue with u as a failure that does not concern the
// account. Secrets in the reply of u are hidden.
func (u *Upstream) AsUnavailable(err error) *Error {
	r, _ := parseReply(err, false)
	return u.newError(UpstreamDown, r, err)
}

// AsRefusal returns an error of a login at u: UpstreamRefused if u has refused it
// permanently, otherwise as AsUnavailable does. certain says that the reply can only concern
// the credentials. Secrets in the reply of u are hidden.
func (u *Upstream) AsRefusal(err error, certain bool) *Error {
	r, ok := parseReply(err, certain)
	if !ok || r.temporary {
		return u.AsUnavailable(err)
	}
	return u.newError(UpstreamRefused, r, err)
}

func (u *Upstream) newError(result Result, r upstreamReply, err error) *Error {
	reply := u.secrets().Redact(r.reply)
	return &Error{
		Result: result,
		Detail: u.secrets().Redact(r.text),
		Err:    u.secrets().Error(err),
		reply:  reply,
		hint:   u.errorHint(result, reply),
	}
}

// opensLater reports whether the login succeeded, but another session has the mailbox, or
// has just had it (RFC 2449 sections 8.1.1 and 8.1.2).
func opensLater(err error) bool {
	var r *pop3dialogue.Refusal
	return errors.As(err, &r) && (strings.EqualFold(r.Code, "IN-USE") || strings.EqualFold(r.Code, "LOGIN-DELAY"))
}

// passwordCode matches the response codes for a wrong password.
var passwordCode = regexp.MustCompile(`(?i)\[(AUTHENTICATIONFAILED|AUTH|EXPIRED)\] ?`)

// An upstreamReply is a reply with which an upstream refuses something.
type upstreamReply struct {
	reply     string // the whole reply
	text      string // without codes, which the client would apply to its own login
	temporary bool
}

// parseReply returns the reply of an upstream in an error of our dialogues, of go-imap or of
// go-smtp. If certain is true, ambiguous replies count as permanent. ok is false for other
// errors.
func parseReply(err error, certain bool) (r upstreamReply, ok bool) {
	var i *imap.Error
	var refusal *smtpdialogue.Refusal
	var s *smtp.SMTPError
	var pop3 *pop3dialogue.Refusal
	switch {
	case errors.As(err, &i):
		r = parseIMAPReply(i, certain)
	case errors.As(err, &pop3):
		r = upstreamReply{pop3.Error(), pop3.Text, pop3.Temporary()}
	case errors.As(err, &refusal):
		r = upstreamReply{refusal.Error(), refusal.Message, refusal.Temporary()}
	case errors.As(err, &s):
		refusal = &smtpdialogue.Refusal{SMTPError: *s}
		if s.EnhancedCode == smtp.EnhancedCodeNotSet {
			refusal.EnhancedCode = smtp.NoEnhancedCode
		}
		r = upstreamReply{refusal.Error(), refusal.Message, refusal.Temporary()}
	default:
		return r, false
	}
	r.text = strings.TrimSpace(passwordCode.ReplaceAllString(r.text, ""))
	r.temporary = r.temporary || isUnavailable(r.text)
	return r, true
}

func parseIMAPReply(e *imap.Error, certain bool) upstreamReply {
	r := upstreamReply{reply: string(e.Type) + " ", text: e.Text}
	if e.Code != "" {
		r.reply += "[" + string(e.Code) + "] "
	}
	r.reply += e.Text
	switch imap.ResponseCode(strings.ToUpper(string(e.Code))) {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeLimit, imap.ResponseCodeServerBug:
		r.temporary = true
	case imap.ResponseCodeAlert:
		// Gmail's "too many simultaneous connections", among others.
		r.temporary = !certain
	}
	switch e.Type {
	case imap.StatusResponseTypeBye:
		r.temporary = true
	case imap.StatusResponseTypeBad:
		// Microsoft's "request is throttled", or the command is unknown, and another
		// token would not help.
		r.temporary = !certain
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

func isUnavailable(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(unavailable, func(words string) bool { return strings.Contains(text, words) })
}
