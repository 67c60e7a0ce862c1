package mailhost

import (
	"log/slog"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
)

// inbox is the folder that mail is delivered into.
const inbox = "INBOX"

func (h *Host) newIMAP() *imapserver.Server {
	return imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return &imapSession{host: h}, nil, nil
		},
		// Without LITERAL+, imapserver would parse the text of a large non-synchronizing
		// literal as commands.
		Caps: imap.CapSet{
			imap.CapIMAP4rev1:   {},
			imap.CapIMAP4rev2:   {},
			imap.CapLiteralPlus: {},
		},
		Logger: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	})
}

// An imapSession is a session of the user that has logged in; before that, the
// UserSession is nil.
type imapSession struct {
	*imapmemserver.UserSession
	host *Host
}

// imapserver panics if the session lacks a method that the capabilities need.
var (
	_ imapserver.SessionIMAP4rev2 = (*imapSession)(nil)
	_ imapserver.SessionSASL      = (*imapSession)(nil)
)

// Login implements imapserver.Session. It rejects every password.
func (s *imapSession) Login(string, string) error {
	return &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeAuthenticationFailed,
		Text: "Passwords are not accepted: use XOAUTH2 or OAUTHBEARER",
	}
}

// AuthenticateMechanisms implements imapserver.SessionSASL.
func (s *imapSession) AuthenticateMechanisms() []string {
	return mechanismNames()
}

// Authenticate implements imapserver.SessionSASL.
func (s *imapSession) Authenticate(mechanism string) (sasl.Server, error) {
	logIn := func(name, token string) bool {
		mailbox, user, ok := s.host.logIn(name, token)
		s.host.log.Info("login", "protocol", "imap", "mechanism", mechanism, "user", name, "mailbox", mailbox, "ok", ok)
		if ok {
			s.UserSession = imapmemserver.NewUserSession(user)
		}
		return ok
	}
	server := newServer(mechanism, logIn, &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeAuthenticationFailed,
		Text: "Invalid credentials",
	}, &imap.Error{
		Type: imap.StatusResponseTypeBad,
		Text: "Malformed SASL message",
	})
	if server == nil {
		return nil, &imap.Error{
			Type: imap.StatusResponseTypeNo,
			Text: "Unknown mechanism: use XOAUTH2 or OAUTHBEARER",
		}
	}
	return server, nil
}

// idlePause is the interval at which Idle polls the mailbox.
const idlePause = 50 * time.Millisecond

// Idle implements imapserver.Session. It polls, because Idle of imapmemserver misses mail
// that arrives between the client's IDLE and its own start.
func (s *imapSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	for {
		if err := s.Poll(w, true); err != nil {
			return err
		}
		select {
		case <-time.After(idlePause):
		case <-stop:
			return nil
		}
	}
}
