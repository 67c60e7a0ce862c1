package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	gosasl "github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// Submission delivers by SMTP to a submission server, one transaction on a connection for
// each message. The client receives the server's replies word for word.
type Submission struct {
	Host string // of the server, for OAUTHBEARER
	Port int

	// Dial connects to the server, by TLS unless StartTLS is set.
	Dial func(ctx context.Context) (net.Conn, error)

	// StartTLS is the configuration for STARTTLS; nil if Dial returns a TLS connection.
	StartTLS *tls.Config

	// Mechanism is "xoauth2" or "oauthbearer" for an access token, "plain" or "login" for a
	// password. "auto" or "" is what the server offers for a token, "password" what it
	// offers for a password, which the account has in place of a token.
	Mechanism string

	MaxSize int64 // see Traits

	// Concurrent is the maximum number of connections at a time for a mailbox; 0 is no
	// limit. Hold is how long a message waits for one; 0 is DefaultHold.
	Concurrent int
	Hold       time.Duration

	q mailboxQueue

	Request time.Duration // limits the delivery of one message; 0 is DefaultRequest
}

// Traits implements Deliverer.
func (s *Submission) Traits() Traits { return Traits{Name: "smtp", MaxSize: s.MaxSize} }

// Deliver implements Deliverer.
func (s *Submission) Deliver(ctx context.Context, m *Message) Result {
	limit := s.Request
	if limit == 0 {
		limit = DefaultRequest
	}
	leave, err := s.enter(ctx, m.Account)
	if err != nil {
		err = fmt.Errorf("waiting for other messages of the mailbox: %w", err)
		return Result{Kind: Throttled, Err: err, Reply: status("451 4.3.2").reply("too many messages of this mailbox are being sent; try again later")}
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	refused := ""
	for {
		token, err := m.Account.Token(ctx, refused)
		if err != nil {
			return Result{Kind: TokenUnavailable, Err: fmt.Errorf("access token: %w", err),
				Reply: replyIn(err, status("451 4.7.0").reply("there is no access token for now; try again later"))}
		}
		result := s.transaction(ctx, m, token)
		if result.Kind != TokenRefused || refused != "" || token == refused {
			return result
		}
		refused = token
	}
}

// enter waits for one of the connections of an account.
func (s *Submission) enter(ctx context.Context, a *Account) (leave func(), err error) {
	if s.Concurrent == 0 {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.Hold, DefaultHold))
	defer cancel()
	return s.q.enter(ctx, cmp.Or(a.User, a.Mailbox), s.Concurrent)
}

// transaction delivers m on a new connection.
func (s *Submission) transaction(ctx context.Context, m *Message, token string) Result {
	conn, err := s.Dial(ctx)
	if err != nil {
		return submissionFailed("connecting", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	client, err := s.begin(conn)
	if err != nil {
		return submissionFailed("EHLO", err)
	}
	defer client.Close()
	if err := s.authenticate(client, cmp.Or(m.Account.User, m.Account.Mailbox), token); err != nil {
		// An administrator can repair this, and until then no message is to bounce.
		if e, ok := errors.AsType[*smtp.SMTPError](err); ok && e.Code/100 == 5 {
			return Result{Kind: TokenRefused, Err: fmt.Errorf("submission server: AUTH: %w", err),
				Reply: status("451 4.7.1").reply("the submission server refused the login: %s", replyText(e))}
		}
		if none, ok := errors.AsType[*sasl.NotOffered](err); ok {
			return Result{Kind: AccountRefused, Err: fmt.Errorf("submission server: AUTH: %w", none),
				Reply: status("451 4.7.0").reply("the submission %v", none)}
		}
		return submissionFailed("AUTH", err)
	}
	if err := client.Mail(m.From, &smtp.MailOptions{Size: m.Size}); err != nil {
		return submissionFailed("MAIL", err)
	}
	for _, to := range m.To {
		if err := client.Rcpt(to, nil); err != nil { // all or nobody
			return submissionFailed("RCPT", err)
		}
	}
	return s.data(client, m)
}

func (s *Submission) begin(conn net.Conn) (*smtp.Client, error) {
	if s.StartTLS != nil {
		return smtp.NewClientStartTLS(conn, s.StartTLS)
	}
	client := smtp.NewClient(conn)
	return client, client.Hello("localhost")
}

func (s *Submission) authenticate(client *smtp.Client, user, token string) error {
	_, offered := client.Extension("AUTH")
	mechanism, err := sasl.Choose(s.Mechanism, strings.Fields(offered))
	if err != nil {
		return err
	}
	m, err := sasl.NewClient(mechanism, user, token, s.Host, s.Port)
	if err != nil {
		return err
	}
	return client.Auth(&twoStep{Client: m})
}

// twoStep sends the initial response as the response to an empty challenge: a command with
// it may be too long (RFC 4954 section 4).
type twoStep struct {
	gosasl.Client
	first []byte
}

func (t *twoStep) Start() (mechanism string, ir []byte, err error) {
	mechanism, t.first, err = t.Client.Start()
	return mechanism, nil, err
}

func (t *twoStep) Next(challenge []byte) ([]byte, error) {
	if ir := t.first; ir != nil {
		t.first = nil
		return ir, nil
	}
	return t.Client.Next(challenge)
}

// data sends the content. After its last byte a lost connection leaves open whether the
// server accepted the message.
func (s *Submission) data(client *smtp.Client, m *Message) Result {
	w, err := client.Data()
	if err != nil {
		return submissionFailed("DATA", err)
	}
	if _, err := io.Copy(w, m.Open()); err != nil {
		return submissionFailed("DATA", err)
	}
	response, err := w.CloseWithResponse()
	if err == nil {
		client.Quit()
		reply := &smtp.SMTPError{Code: 250, EnhancedCode: smtp.NoEnhancedCode, Message: withoutControls(response.StatusText)}
		return Result{Kind: Accepted, Reply: reply}
	}
	if e, ok := errors.AsType[*smtp.SMTPError](err); ok && isFailure(e) {
		return submissionFailed("DATA", err)
	}
	err = fmt.Errorf("the connection broke after the whole message was sent; it may have been delivered: %w", err)
	return Result{Kind: MaybeSent, Err: err,
		Reply: status("451 4.4.2").reply("the submission server gave no answer; the message may have been sent")}
}

// submissionFailed returns the Result for an error at a command before the message was sent
// completely: the reply of the server, or 451.
func submissionFailed(step string, err error) Result {
	wrapped := fmt.Errorf("submission server: %s: %w", step, err)
	e, ok := errors.AsType[*smtp.SMTPError](err)
	if ok && e.Code/100 == 5 && (step == "EHLO" || e.Code == 530) { // an administrator can repair it
		return Result{Kind: AccountRefused, Err: wrapped,
			Reply: status("451 4.7.1").reply("the submission server refuses the account: %s", replyText(e))}
	}
	if ok && isFailure(e) {
		kind := UpstreamReply
		if e.Code == 421 {
			kind = Unavailable
		}
		return Result{Kind: kind, Err: wrapped, Reply: verbatim(e)}
	}
	return Result{Kind: Unavailable, Err: wrapped,
		Reply: status("451 4.4.1").reply("the submission server cannot be reached; try again later")}
}

// isFailure reports whether e says that a command failed. Another code, such as a second
// 354, must not reach the client.
func isFailure(e *smtp.SMTPError) bool { return e.Code/100 == 4 || e.Code/100 == 5 }

// verbatim returns e so that go-smtp's server sends each line as it was received. The
// server would write the enhanced code on the last line only.
func verbatim(e *smtp.SMTPError) *smtp.SMTPError {
	message := withoutControls(e.Message)
	if e.EnhancedCode == smtp.EnhancedCodeNotSet || e.EnhancedCode == smtp.NoEnhancedCode {
		return &smtp.SMTPError{Code: e.Code, EnhancedCode: smtp.NoEnhancedCode, Message: message}
	}
	code := fmt.Sprintf("%d.%d.%d ", e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2])
	return &smtp.SMTPError{Code: e.Code, EnhancedCode: smtp.NoEnhancedCode,
		Message: code + strings.ReplaceAll(message, "\n", "\n"+code)}
}

// withoutControls returns s with control characters other than line breaks replaced.
func withoutControls(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
