//go:build linux

package soak

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A login is the server side of XOAUTH2.
type login struct {
	server         *mailServer
	refused, later error // replies of the protocol
	in             func(account string)
	bad            bool
}

// Next implements sasl.Server.
func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case l.bad:
		return nil, false, l.refused
	case l.server.present().noLogin:
		return nil, false, l.later
	case response == nil:
		return nil, false, nil
	}
	_, rest, _ := strings.Cut(string(response), "auth=Bearer ")
	token, _, _ := strings.Cut(rest, "\x01")
	account, ok := l.server.user(token)
	if !ok {
		l.bad = true
		return []byte(`{"status":"401"}`), false, nil
	}
	l.in(account)
	return nil, true, nil
}

// serveSMTP returns a function that serves SMTP by go-smtp.
func (m *mailServer) serveSMTP() func(net.Listener) {
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &smtpSession{c.Conn().(*conn)}, nil
	}))
	s.Domain = "localhost"
	s.AllowInsecureAuth = true // a conn is inside TLS, which go-smtp does not see
	s.ErrorLog = log.New(io.Discard, "", 0)
	return func(ln net.Listener) { s.Serve(ln) } // until ln is closed
}

type smtpSession struct{ c *conn }

func (s *smtpSession) AuthMechanisms() []string             { return []string{"XOAUTH2"} }
func (s *smtpSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *smtpSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *smtpSession) Reset()                               {}
func (s *smtpSession) Logout() error                        { return nil }

func (s *smtpSession) Auth(string) (sasl.Server, error) {
	return &login{
		server:  s.c.server,
		refused: &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "token not accepted"},
		later:   &smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "no login for now"},
		in:      func(string) {},
	}, nil
}

// Data implements smtp.Session. It delivers the message to the POP3 mailbox.
func (s *smtpSession) Data(r io.Reader) error {
	if s.c.server.present().cutText {
		io.ReadFull(r, make([]byte, 50))
		s.c.Close()
		return net.ErrClosed
	}
	message, err := io.ReadAll(r)
	if err == nil {
		err = s.c.store(string(message))
	}
	if err != nil {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: err.Error()}
	}
	s.c.server.pop3.add(string(message))
	return nil
}

// serveIMAP returns a function that serves IMAP by go-imap, with mailboxes in memory.
func (m *mailServer) serveIMAP() func(net.Listener) {
	users := make(map[string]*imapmemserver.User)
	for _, account := range accounts {
		users[account] = imapmemserver.NewUser(account, "")
		_ = users[account].Create("INBOX", nil) // fails only for an existing mailbox
	}
	s := imapserver.New(&imapserver.Options{
		NewSession: func(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &imapSession{c: c.NetConn().(*conn), users: users}, nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}},
		InsecureAuth: true, // a conn is inside TLS, which go-imap does not see
		Logger:       log.New(io.Discard, "", 0),
	})
	return func(ln net.Listener) { s.Serve(ln) } // until ln is closed
}

// An imapSession has no UserSession before the login.
type imapSession struct {
	*imapmemserver.UserSession
	c     *conn
	users map[string]*imapmemserver.User
}

// Login implements imapserver.Session.
func (s *imapSession) Login(string, string) error { return errors.New("use XOAUTH2") }

// AuthenticateMechanisms implements imapserver.SessionSASL.
func (s *imapSession) AuthenticateMechanisms() []string { return []string{"XOAUTH2"} }

// Authenticate implements imapserver.SessionSASL.
func (s *imapSession) Authenticate(string) (sasl.Server, error) {
	return &login{
		server:  s.c.server,
		refused: &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeAuthenticationFailed, Text: "token not accepted"},
		later:   &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeUnavailable, Text: "no login for now"},
		in:      func(account string) { s.UserSession = imapmemserver.NewUserSession(s.users[account]) },
	}, nil
}

// Append implements imapserver.Session.
func (s *imapSession) Append(mailbox string, r imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	if s.c.server.present().cutText {
		io.ReadFull(r, make([]byte, 50))
		s.c.Close()
		return nil, net.ErrClosed
	}
	message, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if err := s.c.store(string(message)); err != nil {
		return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Text: err.Error()}
	}
	return s.UserSession.Append(mailbox, literal{bytes.NewReader(message)}, options)
}

type literal struct{ *bytes.Reader }

// Size implements imap.LiteralReader.
func (l literal) Size() int64 { return l.Reader.Size() }
