package proxy

import (
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"

	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
)

// Down returns err, of a dialogue with u, as a failure that has nothing to do
// with the account. What u says of it may help the client; it holds no secret.
func (u *Upstream) Down(err error) *Error {
	words, _, _ := refused(err, false)
	return u.failure(UpstreamDown, words, err)
}

// Refused returns err, of a dialogue with u, as a failure to give what a login
// is for: UpstreamRefused if u has said no for good. It is certain if u has shown
// that it is about that, and nothing else. What u says of it holds no secret.
func (u *Upstream) Refused(err error, certain bool) *Error {
	words, passing, ok := refused(err, certain)
	if !ok || passing {
		return u.Down(err)
	}
	return u.failure(UpstreamRefused, words, err)
}

func (u *Upstream) failure(r Result, words string, err error) *Error {
	return &Error{r, u.secrets().Redact(words), u.secrets().Error(err), u}
}

// opensLater reports whether err says that the login is good, and only another
// session has the mailbox, or has just had it (RFC 2449 sections 8.1.1 and 8.1.2).
func opensLater(err error) bool {
	var r *pop3dialogue.Refusal
	return errors.As(err, &r) && (strings.EqualFold(r.Code, "IN-USE") || strings.EqualFold(r.Code, "LOGIN-DELAY"))
}

// refused returns the words with which an upstream refused a login, by the error
// of a session's dialogue or by that of go-imap or go-smtp, and whether it may
// accept the same later; if it is certain that the secret, or what that may do,
// is the matter, some words that may mean both mean no. ok is false if err is
// another error.
func refused(err error, certain bool) (words string, passing, ok bool) {
	var i *imap.Error
	var refusal *smtpdialogue.Refusal
	var s *smtp.SMTPError
	var pop3 *pop3dialogue.Refusal
	switch {
	case errors.As(err, &i):
		words, passing = refusedIMAP(i, certain)
		return words, passing, true
	case errors.As(err, &pop3):
		return pop3.Error(), pop3.Temporary(), true
	case errors.As(err, &refusal):
	case errors.As(err, &s):
		refusal = &smtpdialogue.Refusal{SMTPError: *s}
		if s.EnhancedCode == smtp.EnhancedCodeNotSet {
			refusal.EnhancedCode = smtp.NoEnhancedCode
		}
	default:
		return "", false, false
	}
	return refusal.Error(), refusal.Temporary(), true
}

func refusedIMAP(e *imap.Error, certain bool) (words string, passing bool) {
	words = string(e.Type) + " "
	if e.Code != "" {
		words += "[" + string(e.Code) + "] "
	}
	switch imap.ResponseCode(strings.ToUpper(string(e.Code))) {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeLimit, imap.ResponseCodeServerBug:
		passing = true
	case imap.ResponseCodeAlert:
		// Gmail's "too many simultaneous connections", among others.
		passing = !certain
	}
	switch e.Type {
	case imap.StatusResponseTypeBye:
		passing = true
	case imap.StatusResponseTypeBad:
		// Microsoft's "request is throttled"; or it does not know the command,
		// and then another secret would not help either.
		passing = !certain
	}
	return words + e.Text, passing
}
