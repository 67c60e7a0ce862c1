package gateway

import (
	"context"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Default limits.
const (
	DefaultIdle       = 5 * time.Minute  // RFC 5321 section 4.5.3.2
	DefaultData       = 30 * time.Minute // 30 MB at 17 kB/s
	DefaultRecipients = 500
	DefaultHeader     = 256 << 10 // as Exchange Online has
)

// Limits bound what one session may use. A zero value is the default.
type Limits struct {
	// Idle is the time to wait for the next command, or for more of a message.
	Idle time.Duration
	// Data is the time that a message may take from DATA to its last byte.
	Data time.Duration
	// Recipients is the maximum number for each message. More get 452 4.5.3.
	Recipients int
	// Header is the maximum size of the header section, in bytes.
	Header int
}

func (l Limits) withDefaults() Limits {
	if l.Idle == 0 {
		l.Idle = DefaultIdle
	}
	if l.Data == 0 {
		l.Data = DefaultData
	}
	if l.Recipients == 0 {
		l.Recipients = DefaultRecipients
	}
	if l.Header == 0 {
		l.Header = DefaultHeader
	}
	return l
}

// An Account is what a session sends as.
type Account struct {
	Name    string // in Reports
	Login   string // label of the client's login, in Reports; empty: none
	Mailbox string // e-mail address
	User    string // user name at a submission server; empty is Mailbox

	// Token returns a valid access token for the deliverer's API other than stale, which
	// may be empty. If its error is or wraps an *smtp.SMTPError, that is the client's reply.
	Token func(ctx context.Context, stale string) (string, error)

	// Deliverer sends the messages; nil is that of the Server.
	Deliverer Deliverer

	// Rate limits the messages for each minute; nil is no limit. All sessions of the
	// account share it.
	Rate *Rate

	Rules Rules
}

// Rules say how the message is changed before it is delivered. The zero value changes only
// the Bcc field, and only if the deliverer reads recipients from the header.
type Rules struct {
	// HeaderRecipients says what happens to a recipient that the header names and the
	// envelope does not, if the deliverer reads recipients from the header.
	HeaderRecipients HeaderRecipients

	// RewriteSender makes the account's address the envelope sender and the From address.
	// The original From becomes Reply-To, unless there is one.
	RewriteSender bool

	// AddMissing adds Date and Message-ID if they are missing (RFC 6409 section 8).
	AddMissing bool
}

// HeaderRecipients is a way to handle recipients that are only in the header.
type HeaderRecipients int

const (
	RefuseMessage    HeaderRecipients = iota // 554 5.6.0 with the address
	DeliverToThem                            // they receive the message too
	DropFromTheField                         // they are removed from the field
)

// A Server receives messages on connections in this process and delivers each with a
// Deliverer. Its fields must not change after the first Dial.
type Server struct {
	// Name is the host name in the greeting.
	Name string

	// Deliverer is that of accounts without one of their own.
	Deliverer Deliverer

	// MaxSize is the limit in bytes that EHLO announces; 0 is that of the Deliverer. An
	// account's deliverer may have a smaller one, which applies as well.
	MaxSize int64

	// Account returns the account that the user name and the access token of an AUTH
	// command belong to. If its error is or wraps an *smtp.SMTPError, that is the reply.
	Account func(user, token string) (*Account, error)

	// Report is called once for each message that was accepted or refused, before the
	// client receives the reply. It must be safe for concurrent use; nil is allowed.
	Report func(Report)

	// Limits bound each session.
	Limits Limits

	// TempDir is the directory for messages of more than 256 KiB; empty is os.TempDir().
	// The files have no name there once they are open.
	TempDir string

	// Redact hides secrets in what a provider says; nil hides none.
	Redact func(string) string

	// ErrorLog receives the panics of sessions; nil drops them.
	ErrorLog smtp.Logger

	messages messageLimit

	mu         sync.Mutex
	closed     bool           // no delivery may start any more
	delivering sync.WaitGroup // deliveries under way

	start    sync.Once
	listener *pipeListener
	smtp     *smtp.Server
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
}

// Dial returns a connection to a new session, which expects AUTH XOAUTH2 or OAUTHBEARER. It
// is the dial function of an upstream. The connection has CloseWrite.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) { return s.dial(ctx, nil) }

// DialDevice returns a connection to a new session for a client that does not authenticate.
func (s *Server) DialDevice(ctx context.Context, d *Device) (net.Conn, error) { return s.dial(ctx, d) }

func (s *Server) dial(ctx context.Context, d *Device) (net.Conn, error) {
	s.start.Do(s.begin)
	return s.listener.dial(ctx, func(c net.Conn) net.Conn {
		return newCommandConn(c, s.Limits.withDefaults(), d)
	})
}

// begin starts the SMTP server.
func (s *Server) begin() {
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.listener = newPipeListener()
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return newSession(s, c.Conn().(*commandConn)), nil
	}))
	s.smtp.Domain = s.Name
	s.smtp.AllowInsecureAuth = true // the connection does not leave the process
	s.smtp.MaxLineLength = 0        // commandConn limits lines
	s.smtp.MaxMessageBytes = s.maxSize()
	s.smtp.ErrorLog = s.ErrorLog
	if s.ErrorLog == nil {
		s.smtp.ErrorLog = log.New(io.Discard, "", 0)
	}
	go s.smtp.Serve(s.listener)
}

// maxSize returns the size that EHLO announces.
func (s *Server) maxSize() int64 {
	if s.MaxSize == 0 && s.Deliverer != nil {
		return s.Deliverer.Traits().MaxSize
	}
	return s.MaxSize
}

// Close ends all sessions, and waits until no delivery is under way. It cancels deliveries:
// their clients receive 451 or nothing.
func (s *Server) Close() error {
	s.start.Do(s.begin)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	err := s.smtp.Close()
	s.delivering.Wait()
	return err
}

// startDelivery counts a delivery in delivering, unless the server is closed.
func (s *Server) startDelivery() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.delivering.Add(1)
	}
	return !s.closed
}
