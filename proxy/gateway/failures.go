package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/xoauthd/xoauthd/internal/text"
)

// A Failure is a row of the tables of replies: an error of an API, and what the client is
// told. The first row that fits applies.
type Failure struct {
	Status  int    // of HTTP; 0 is any, 4 and 5 are all of that class
	Code    string // of the error, without case; empty is any
	Message string // a part of the error's message, in lower case; empty is any

	Kind  Kind
	Reply status
	Text  string // of the reply; %s is the permission that the grant needs
}

// Replies to a refused account are temporary: an administrator can repair it, and until
// then an MTA keeps the messages instead of bouncing all of them.

// GraphFailures are the errors of sendMail. Only 400 and 422 are about the
// message.
var GraphFailures = []Failure{
	{401, "", "", TokenRefused, "451 4.7.1", "the access token was refused"},
	{403, "ErrorAccessDenied", "", PermissionMissing, "451 4.7.1", "the account lacks the permission %s"},
	{403, "Authorization_RequestDenied", "", PermissionMissing, "451 4.7.1", "the account lacks the permission %s"},
	{0, "ErrorSendAsDenied", "", SenderRefused, "550 5.7.60", "the account may not send as the address in From; change it there, or for devices set rewrite_sender at the listener"},
	{0, "ErrorAccountSuspend", "", AccountRefused, "451 4.7.1", "the mailbox is suspended"},
	{0, "ErrorAccountSuspendShowTierUpgrade", "", AccountRefused, "451 4.7.1", "the mailbox is suspended"},
	{0, "ErrorInvalidRecipients", "", RecipientRefused, "550 5.1.3", "a recipient was refused"},
	{0, "ErrorInvalidSmtpAddress", "", RecipientRefused, "550 5.1.3", "a recipient was refused"},
	{0, "ErrorTooManyRecipients", "", RecipientRefused, "550 5.5.3", "the message has too many recipients"},
	{413, "", "", TooLarge, "552 5.3.4", "the message is too large"},
	{0, "ErrorMessageSizeExceeded", "", TooLarge, "552 5.3.4", "the message is too large"},
	{0, "RequestEntityTooLarge", "", TooLarge, "552 5.3.4", "the message is too large"},
	{0, "MailboxNotEnabledForRESTAPI", "", AccountRefused, "451 4.2.1", "the mailbox is not in Exchange Online, or has no licence"},
	{0, "MailboxNotSupportedForRESTAPI", "", AccountRefused, "451 4.2.1", "the mailbox is of a kind that cannot send by Graph"},
	{0, "ErrorItemNotFound", "", AccountRefused, "451 4.2.1", "there is no such mailbox"},
	{0, "ErrorInvalidUser", "", AccountRefused, "451 4.2.1", "there is no such mailbox"},
	{0, "ErrorNonExistentMailbox", "", AccountRefused, "451 4.2.1", "there is no such mailbox"},
	{0, "Request_ResourceNotFound", "", AccountRefused, "451 4.2.1", "there is no such mailbox"},
	{0, "ErrorMimeContentInvalid", "", MessageRefused, "554 5.6.0", "the message is malformed"},
	{0, "ErrorMimeContentInvalidBase64String", "", MessageRefused, "554 5.6.0", "the message is malformed"},
	{0, "ErrorMessageSubmissionBlocked", "", AccountRefused, "451 4.7.1", "the mailbox is blocked from sending"},
	{0, "ErrorExceededMessageLimit", "", QuotaExceeded, "451 4.7.0", "the mailbox has sent what it may for now"},
	{0, "ErrorSubmissionQuotaExceeded", "", QuotaExceeded, "451 4.7.0", "the mailbox has sent what it may for now"},
	{0, "ErrorQuotaExceeded", "", AccountRefused, "452 4.2.2", "the mailbox is full"},
	{429, "", "", Throttled, "451 4.3.2", "too many requests for this mailbox; try again later"},
	{503, "", "", Throttled, "451 4.3.2", "the service is busy; try again later"},
	{504, "", "", MaybeSent, "451 4.4.2", "no answer in time; the message may have been sent"},
	{403, "", "", AccountRefused, "451 4.7.1", "the account may not send"},
	{404, "", "", AccountRefused, "451 4.2.1", "there is no such mailbox"},
	{408, "", "", Unavailable, "451 4.4.2", "the request took too long; try again later"},
	{409, "", "", Unavailable, "451 4.3.0", "the mailbox is changing; try again later"},
	{400, "", "resource not found for the segment", Unavailable, "451 4.3.5", "smtp_api_url is not that of the API"},
	{400, "", "invalid version", Unavailable, "451 4.3.5", "smtp_api_url is not that of the API"},
	{400, "", "", MessageRefused, "554 5.6.0", "the message was refused"},
	{422, "", "", MessageRefused, "554 5.6.0", "the message was refused"},
	{4, "", "", Unavailable, "451 4.3.0", "the request was refused; try again later"},
	{0, "", "", Unavailable, "451 4.3.0", "the service has a fault; try again later"},
}

// GmailFailures are the errors of users.messages.send. Only 400 and 422 are about the
// message.
var GmailFailures = []Failure{
	{401, "", "", TokenRefused, "451 4.7.1", "the access token was refused"},
	{403, "insufficientPermissions", "", PermissionMissing, "451 4.7.1", "the account lacks the permission %s"},
	{403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "", PermissionMissing, "451 4.7.1", "the account lacks the permission %s"},
	{0, "dailyLimitExceeded", "", QuotaExceeded, "451 4.7.0", "the daily limit of the project is reached"},
	{0, "quotaExceeded", "", QuotaExceeded, "451 4.7.0", "the account has sent what it may for now"},
	{0, "rateLimitExceeded", "", Throttled, "451 4.3.2", "too many requests; try again later"},
	{0, "userRateLimitExceeded", "", Throttled, "451 4.3.2", "too many requests of this account; try again later"},
	{0, "accessNotConfigured", "", AccountRefused, "451 4.7.1", "the Gmail API is not enabled in the project of the client id"},
	{0, "SERVICE_DISABLED", "", AccountRefused, "451 4.7.1", "the Gmail API is not enabled in the project of the client id"},
	{0, "domainPolicy", "", AccountRefused, "451 4.7.1", "the administrator of the domain does not allow this application"},
	{0, "failedPrecondition", "", AccountRefused, "451 4.2.1", "the mailbox cannot send by the Gmail API"},
	{0, "FAILED_PRECONDITION", "", AccountRefused, "451 4.2.1", "the mailbox cannot send by the Gmail API"},
	{400, "", "recipient address required", RecipientRefused, "550 5.1.3", "a recipient was refused"},
	{400, "", "invalid to header", RecipientRefused, "550 5.1.3", "a recipient was refused"},
	{400, "", "invalid cc header", RecipientRefused, "550 5.1.3", "a recipient was refused"},
	{400, "", "invalid bcc header", RecipientRefused, "550 5.1.3", "a recipient was refused"},
	{413, "", "", TooLarge, "552 5.3.4", "the message is too large"},
	{0, "uploadTooLarge", "", TooLarge, "552 5.3.4", "the message is too large"},
	{429, "", "", Throttled, "451 4.3.2", "too many requests of this account; try again later"},
	{503, "", "", Throttled, "451 4.3.2", "the service is busy; try again later"},
	{504, "", "", MaybeSent, "451 4.4.2", "no answer in time; the message may have been sent"},
	{403, "", "", AccountRefused, "451 4.7.1", "the account may not send"},
	{404, "", "", AccountRefused, "451 4.2.1", "there is no such mailbox"},
	{408, "", "", Unavailable, "451 4.4.2", "the request took too long; try again later"},
	{400, "", "", MessageRefused, "554 5.6.0", "the message was refused"},
	{422, "", "", MessageRefused, "554 5.6.0", "the message was refused"},
	{4, "", "", Unavailable, "451 4.3.0", "the request was refused; try again later"},
	{0, "", "", Unavailable, "451 4.3.0", "the service has a fault; try again later"},
}

func (f Failure) matches(httpStatus int, w apiWords) bool {
	return (f.Status == 0 || f.Status == httpStatus || f.Status == httpStatus/100) &&
		(f.Code == "" || strings.EqualFold(f.Code, w.code)) &&
		(f.Message == "" || strings.Contains(strings.ToLower(w.message), f.Message))
}

// failure returns the Result of an error that the API answered with.
func (a *api) failure(m *Message, httpStatus int, w apiWords, id string) Result {
	for _, f := range a.failures {
		if !f.matches(httpStatus, w) {
			continue
		}
		said := f.Text
		r := Result{Kind: f.Kind, RequestID: id}
		if f.Kind == PermissionMissing {
			r.Permission = a.grant(m.Account)
			said = fmt.Sprintf(f.Text, r.Permission)
		}
		words := fmt.Sprintf("HTTP %d %s", httpStatus, http.StatusText(httpStatus))
		if w.code != "" || w.message != "" {
			words = strings.Trim(w.code+": "+w.message, ": ")
		}
		words = text.Line(words, maxDetail)
		r.Err = errors.New(a.name + ": " + said + ": " + words)
		if id != "" {
			said += " (request id " + id + ")"
		}
		r.Reply = f.Reply.reply("%s: %s: %s", a.name, said, words)
		return r
	}
	return a.unreachable(fmt.Errorf("HTTP status %d", httpStatus)) // the last row fits all
}
