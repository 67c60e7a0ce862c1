package gateway

import (
	"bytes"
	"context"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// A Deliverer sends messages. It is safe for concurrent use.
type Deliverer interface {
	// Traits returns what a session must know of the deliverer.
	Traits() Traits

	// Deliver sends m. The Result is Accepted only if the provider has accepted m.
	Deliver(ctx context.Context, m *Message) Result
}

// Traits describe a Deliverer.
type Traits struct {
	Name       string // "graph", "gmail" or "smtp", for Reports
	MaxSize    int64  // of a message in bytes; 0 is no limit
	Recipients int    // maximum number for each message; 0 is that of Limits

	// FromHeader is true if the provider reads the recipients from the To, Cc and Bcc
	// fields, not from the envelope.
	FromHeader bool
}

// A Message is a received message and its envelope.
type Message struct {
	Account *Account
	From    string   // MAIL FROM without brackets; empty is the null sender
	To      []string // RCPT TO, without brackets
	Size    int64    // of the content in bytes

	open func() io.Reader
}

// NewMessage returns a message with content, to be delivered without a session.
func NewMessage(a *Account, from string, to []string, content []byte) *Message {
	return &Message{Account: a, From: from, To: to, Size: int64(len(content)),
		open: func() io.Reader { return bytes.NewReader(content) }}
}

// Open returns the content from its beginning. It may be called again.
func (m *Message) Open() io.Reader { return m.open() }

// A Result is what became of a message.
type Result struct {
	Kind      Kind
	Reply     *smtp.SMTPError // to the client, also if accepted
	RequestID string          // of the provider; empty if there is none

	// Permission is what the account's grant lacks; empty unless Kind is PermissionMissing.
	Permission string

	// Err is the reason for the log; nil if accepted.
	Err error
}

// A Kind says why a message was accepted or refused. Its value is a metric label.
type Kind string

// The kinds of the result of a message.
const (
	Accepted          Kind = "accepted"
	Unavailable       Kind = "unavailable"        // the provider cannot be reached or has a fault
	Throttled         Kind = "throttled"          // too many messages or requests for now
	QuotaExceeded     Kind = "quota_exceeded"     // the account has sent what it may for today
	TokenUnavailable  Kind = "token_unavailable"  // there is no access token for now
	TokenRefused      Kind = "token_refused"      // the provider refused two access tokens
	PermissionMissing Kind = "permission_missing" // the grant lacks Result.Permission
	AccountRefused    Kind = "account_refused"    // the mailbox does not exist or cannot send
	SenderRefused     Kind = "sender_refused"     // the account may not send as this sender
	RecipientRefused  Kind = "recipient_refused"
	TooLarge          Kind = "too_large"
	MessageRefused    Kind = "message_refused" // malformed, or header and envelope disagree
	MaybeSent         Kind = "maybe_sent"      // the connection broke after the whole request
	UpstreamReply     Kind = "upstream_reply"  // the submission server refused it in its own words
	Aborted           Kind = "aborted"         // the client left, or xoauthd stops
	Internal          Kind = "internal"        // a fault of this machine, such as a full disk
)

// A Report says what became of a message, for the log and the metrics.
type Report struct {
	Account    string // empty if no account was found
	Login      string // Account.Login
	Client     string // Device.Client
	Sender     string // MAIL FROM
	Recipients int
	Size       int64 // bytes received
	Deliverer  string
	Duration   time.Duration // from DATA to the reply
	Result     Result
}

// ReplyText returns the reply to the client in one line, with its codes.
func (r Report) ReplyText() string { return replyText(r.Result.Reply) }

func replyText(e *smtp.SMTPError) string {
	if e == nil {
		return ""
	}
	return strings.ReplaceAll(formatReply(e), "\n", " ")
}
