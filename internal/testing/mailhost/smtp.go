package mailhost

import (
	"bytes"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// maxLine is the longest line in bytes. RFC 4954 section 4 requires 12288 for a line of
// AUTH; go-smtp applies the limit to message text too.
const maxLine = 16 << 10

// maxMessage is the largest message in bytes. Providers accept 25 to 50 MB, and encoding
// makes a message a third larger.
const maxMessage = 80 << 20

// maxRecipients is the largest number of recipients, as at Gmail.
const maxRecipients = 100

// newSMTP returns a server without ReadTimeout: after it, go-smtp would parse the rest of
// a slow message as commands.
func (h *Host) newSMTP() *smtp.Server {
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		_, secure := c.TLSConnectionState()
		return &smtpSession{host: h, secure: secure}, nil
	}))
	s.Domain = "localhost"
	s.TLSConfig = h.tls
	s.MaxLineLength = maxLine
	s.MaxMessageBytes = maxMessage
	s.MaxRecipients = maxRecipients
	s.EnableSMTPUTF8 = true
	s.ErrorLog = slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)
	return s
}

// An smtpSession is the session after an EHLO.
type smtpSession struct {
	host    *Host
	secure  bool
	mailbox string // that has logged in; empty before
	to      []*imapmemserver.User
}

var _ smtp.AuthSession = (*smtpSession)(nil)

// AuthMechanisms implements smtp.AuthSession.
func (s *smtpSession) AuthMechanisms() []string {
	return mechanismNames()
}

// Auth implements smtp.AuthSession. go-smtp calls it only under TLS.
func (s *smtpSession) Auth(mechanism string) (sasl.Server, error) {
	logIn := func(name, token string) bool {
		mailbox, _, ok := s.host.logIn(name, token)
		s.host.log.Info("login", "protocol", "smtp", "mechanism", mechanism, "user", name, "mailbox", mailbox, "ok", ok)
		if ok {
			s.mailbox = mailbox
		}
		return ok
	}
	server := newServer(mechanism, logIn,
		reply(535, smtp.EnhancedCode{5, 7, 8}, "Username and token not accepted"),
		reply(501, smtp.EnhancedCode{5, 5, 2}, "Malformed SASL message"))
	if server == nil {
		return nil, reply(504, smtp.EnhancedCode{5, 5, 4}, "Unknown mechanism: use XOAUTH2 or OAUTHBEARER")
	}
	return server, nil
}

// Mail implements smtp.Session.
func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	switch {
	case !s.secure:
		return reply(530, smtp.EnhancedCode{5, 7, 0}, "Must issue a STARTTLS command first")
	case s.mailbox == "":
		return reply(530, smtp.EnhancedCode{5, 7, 0}, "Authentication required")
	case !strings.EqualFold(from, s.mailbox):
		return reply(553, smtp.EnhancedCode{5, 7, 1}, "Sender address is not that of "+s.mailbox)
	}
	return nil
}

// Rcpt implements smtp.Session.
func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	user, ok := s.host.users[strings.ToLower(to)]
	if !ok {
		return reply(550, smtp.EnhancedCode{5, 1, 1}, "No such mailbox here")
	}
	if !slices.Contains(s.to, user) {
		s.to = append(s.to, user)
	}
	return nil
}

// Data implements smtp.Session. It adds no header field, so that tests can compare
// messages byte for byte.
func (s *smtpSession) Data(r io.Reader) error {
	message, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for _, user := range s.to {
		if _, err := user.Append(inbox, bytes.NewReader(message), &imap.AppendOptions{}); err != nil {
			return reply(451, smtp.EnhancedCode{4, 3, 0}, "Delivery failed")
		}
	}
	return nil
}

// Reset implements smtp.Session.
func (s *smtpSession) Reset() {
	s.to = nil
}

// Logout implements smtp.Session.
func (s *smtpSession) Logout() error {
	return nil
}

func reply(code int, enhanced smtp.EnhancedCode, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}
