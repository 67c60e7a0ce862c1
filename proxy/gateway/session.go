package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	gosasl "github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// A session is the state of one connection. It implements smtp.Session.
type session struct {
	*Server
	conn   *commandConn
	limits Limits
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	account *Account // nil before AUTH
	from    string
	to      []address

	// leave ends the message that MAIL has begun; nil before. Server.Close calls Logout while
	// another method runs.
	leave atomic.Pointer[func()]
}

func newSession(s *Server, c *commandConn) *session {
	ss := &session{Server: s, conn: c, limits: s.Limits.withDefaults()}
	ss.ctx, ss.cancel = context.WithCancel(s.ctx)
	if c.device != nil {
		ss.account = c.device.Account
	}
	return ss
}

// Reset implements smtp.Session.
func (s *session) Reset() {
	s.endMessage()
	s.from, s.to = "", nil
}

func (s *session) endMessage() {
	if leave := s.leave.Swap(nil); leave != nil {
		(*leave)()
	}
}

// Logout implements smtp.Session.
func (s *session) Logout() error {
	s.cancel()
	s.endMessage()
	return nil
}

func (s *session) AuthMechanisms() []string {
	if s.conn.device != nil {
		return nil
	}
	return []string{sasl.XOAUTH2, sasl.OAUTHBEARER}
}

func (s *session) Auth(mechanism string) (gosasl.Server, error) {
	if s.conn.device != nil {
		return deviceAuth(mechanism), nil
	}
	credentials := new(sasl.Credentials)
	server, err := sasl.NewServer(mechanism, s.AuthMechanisms(), credentials)
	if err != nil {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return &tokenLogin{server, s, credentials}, nil
}

// A tokenLogin finds the account when the mechanism is done.
type tokenLogin struct {
	gosasl.Server
	s           *session
	credentials *sasl.Credentials
}

func (l *tokenLogin) Next(response []byte) ([]byte, bool, error) {
	challenge, done, err := l.Server.Next(response)
	if err != nil {
		return nil, false, status("501 5.5.2").reply("%v", err)
	}
	if !done {
		return challenge, false, nil
	}
	a, err := l.s.Account(l.credentials.User, l.credentials.Token)
	if err != nil {
		return nil, false, replyIn(err, status("535 5.7.8").reply("unknown account"))
	}
	l.s.account = a
	return nil, true, nil
}

func (s *session) Mail(_ string, _ *smtp.MailOptions) error {
	if s.account == nil && s.conn.device == nil {
		return status("530 5.7.0").reply("authentication required")
	}
	if s.leave.Load() != nil { // RFC 5321 section 4.1.4
		return status("503 5.5.1").reply("a message is begun already; send RSET first")
	}
	a, null, err := parsePath(s.conn.command)
	if err != nil {
		return pathReply(err)
	}
	from := ""
	if !null {
		from = a.String()
	}
	result := s.begin(from)
	if result.Reply != nil {
		s.report(Report{Sender: from, Result: result})
		return result.Reply
	}
	return nil
}

// begin begins a message. It changes the session only if it returns no Reply.
func (s *session) begin(from string) Result {
	account := s.account
	if s.conn.device != nil {
		var result Result
		if account, result = s.conn.device.admit(from); result.Reply != nil {
			return result
		}
	}
	leave, ok := s.messages.enter(account.Name)
	if !ok {
		return Result{Kind: Throttled, Err: errBusy, Reply: status("451 4.3.2").reply("%v; try again later", errBusy)}
	}
	if err := account.Rate.wait(s.ctx); err != nil {
		leave()
		return Result{Kind: Throttled, Err: err, Reply: status("451 4.7.1").reply("%v; try again later", errRate)}
	}
	s.from, s.account = from, account
	s.leave.Store(&leave)
	return Result{}
}

func (s *session) Rcpt(_ string, _ *smtp.RcptOptions) error {
	limit := s.limits.Recipients
	if n := s.deliverer().Traits().Recipients; n > 0 {
		limit = min(limit, n)
	}
	if len(s.to) >= limit {
		return status("452 4.5.3").reply("a message may have at most %d recipients", limit)
	}
	a, _, err := parsePath(s.conn.command)
	if err != nil {
		return pathReply(err)
	}
	if a == (address{}) {
		return pathReply(errPath)
	}
	s.to = append(s.to, a)
	return nil
}

// deliverer returns that of the account.
func (s *session) deliverer() Deliverer {
	if s.account.Deliverer != nil {
		return s.account.Deliverer
	}
	return s.Deliverer
}

// report completes r and passes it on.
func (s *session) report(r Report) {
	if s.account != nil {
		r.Account, r.Login, r.Deliverer = s.account.Name, s.account.Login, s.deliverer().Traits().Name
	}
	if s.conn.device != nil {
		r.Client = s.conn.device.Client
	}
	if s.Report != nil {
		s.Report(r)
	}
}

// Data receives the message and delivers it. The reader of go-smtp is not used.
func (s *session) Data(io.Reader) error {
	if !s.startDelivery() {
		return status("421 4.3.2").reply("xoauthd is stopping; try again in a moment")
	}
	defer s.delivering.Done()
	start := time.Now()
	sp := &spool{dir: s.TempDir}
	defer sp.Close()
	got, err := s.conn.receive(sp, s.maxMessage())
	if err == nil && got.failed == nil && !got.tooLarge {
		got.failed = sp.flush()
	}
	var result Result
	switch {
	case err != nil:
		result = Result{Kind: Aborted, Err: fmt.Errorf("receiving the message: %w", err),
			Reply: status("421 4.4.2").reply("the message is not complete: it ends with a line that has only a dot, and CRLF")}
	case got.tooLarge:
		result = s.tooLarge(got.size)
	case got.failed != nil:
		result = Result{Kind: Internal, Err: fmt.Errorf("storing the message: %w", got.failed),
			Reply: status("452 4.3.1").reply("the message cannot be stored for now")}
	case got.bareLF && s.conn.device == nil:
		err := errors.New("a line of the message ends in LF without CR")
		result = Result{Kind: MessageRefused, Err: err, Reply: status("554 5.6.11").reply("%v", err)}
	default:
		result = s.deliver(sp)
	}
	result = s.redacted(result)
	s.report(Report{Sender: s.from, Recipients: len(s.to), Size: got.size, Duration: time.Since(start), Result: result})
	return result.Reply
}

// redacted returns r without the secrets that a provider may have repeated.
func (s *session) redacted(r Result) Result {
	if s.Redact == nil {
		return r
	}
	if r.Reply != nil {
		reply := *r.Reply
		reply.Message = s.Redact(reply.Message)
		r.Reply = &reply
	}
	if r.Err != nil {
		r.Err = &redactedError{s.Redact(r.Err.Error()), r.Err}
	}
	return r
}

// A redactedError is an error with another text.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// maxMessage returns the limit in bytes for a message of the account.
func (s *session) maxMessage() int64 {
	limit := s.maxSize()
	if n := s.deliverer().Traits().MaxSize; n > 0 && (limit == 0 || n < limit) {
		limit = n
	}
	return limit
}

func (s *session) tooLarge(size int64) Result {
	err := fmt.Errorf("the message has %d bytes, the limit is %d", size, s.maxMessage())
	return Result{Kind: TooLarge, Err: err, Reply: status("552 5.3.4").reply("%v", err)}
}

// deliver changes the header as the rules say and delivers the message.
func (s *session) deliver(sp *spool) Result {
	m, result := s.message(sp)
	if m == nil {
		return result
	}
	if limit := s.maxMessage(); limit > 0 && m.Size > limit {
		return s.tooLarge(m.Size)
	}
	result = s.deliverer().Deliver(s.ctx, m)
	if result.Reply == nil { // never acknowledge what was not accepted
		result.Reply = status("451 4.3.0").reply("the message could not be delivered")
	}
	return result
}

// message returns what is delivered, or nil and the reason.
func (s *session) message(sp *spool) (*Message, Result) {
	head, err := io.ReadAll(io.LimitReader(sp.from(0), int64(s.limits.Header)+4))
	if err != nil {
		return nil, Result{Kind: Internal, Err: err, Reply: status("451 4.3.0").reply("the message cannot be read")}
	}
	h := newHeader(head)
	if len(h.b) > s.limits.Header {
		err := fmt.Errorf("the header of the message has more than %d bytes", s.limits.Header)
		return nil, Result{Kind: TooLarge, Err: err, Reply: status("552 5.3.4").reply("%v", err)}
	}
	m := &Message{Account: s.account, From: s.from}
	for _, a := range s.to {
		m.To = append(m.To, a.String())
	}
	rules := s.rules()
	fromHeader := s.deliverer().Traits().FromHeader
	if h.fault != nil && (fromHeader || rules.RewriteSender || rules.AddMissing) {
		return nil, Result{Kind: MessageRefused, Err: h.fault, Reply: status("554 5.6.0").reply("%v", h.fault)}
	}
	if fromHeader {
		if err := h.setRecipients(s.to, rules.HeaderRecipients); err != nil {
			return nil, Result{Kind: MessageRefused, Err: err, Reply: status("554 5.6.0").reply("%v; set unlisted_recipients in xoauthd.toml, or send one message to all", err)}
		}
	}
	if rules.RewriteSender {
		m.From = s.account.Mailbox
		h.rewriteSender(s.account.Mailbox)
	}
	if rules.AddMissing {
		h.addMissing(s.account.Mailbox, time.Now())
	}
	changed := h.bytes()
	body := int64(len(h.b))
	if body == 0 && len(changed) > 0 && !bytes.HasPrefix(head, []byte("\r\n")) {
		changed = append(changed, "\r\n"...) // the message had no header section
	}
	m.Size = int64(len(changed)) + sp.size - body
	m.open = func() io.Reader { return io.MultiReader(bytes.NewReader(changed), sp.from(body)) }
	return m, Result{}
}

// rules returns those of the account and of the listener together.
func (s *session) rules() Rules {
	rules := s.account.Rules
	if d := s.conn.device; d != nil {
		rules.RewriteSender = rules.RewriteSender || d.RewriteSender
		rules.AddMissing = true
	}
	return rules
}
