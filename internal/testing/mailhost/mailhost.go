// Package mailhost is a mail provider in memory, for the demo and the tests
// only: an IMAP server and a submission server over one set of mailboxes. Like
// the providers that xoauthd is for, it takes no password: one logs in over
// TLS, by XOAUTH2 or OAUTHBEARER, with an access token.
//
// It listens on loopback addresses only, and everything is lost when it ends.
package mailhost

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-smtp"
)

// Config says what a Host serves.
type Config struct {
	// Certificate is that of the servers.
	Certificate tls.Certificate

	// Check returns the mailbox that an access token opens, and whether there
	// is one. It is called from several goroutines.
	Check func(token string) (mailbox string, ok bool)

	// Mailboxes are the addresses that have a mailbox here.
	Mailboxes []string

	// Log gets a line for each login, and at the debug level what the server
	// libraries have to say. It may be nil.
	Log *slog.Logger
}

// A Host is the servers of a mail provider.
type Host struct {
	check func(token string) (mailbox string, ok bool)
	users map[string]*imapmemserver.User // by address in lower case
	log   *slog.Logger
	tls   *tls.Config
	imap  *imapserver.Server
	smtp  *smtp.Server
	open  tracker
}

// New returns a Host that serves nothing yet. Each of its mailboxes has an
// INBOX and a folder Sent, both empty.
func New(c Config) *Host {
	h := &Host{
		check: c.Check,
		users: make(map[string]*imapmemserver.User),
		log:   c.Log,
		tls:   &tls.Config{Certificates: []tls.Certificate{c.Certificate}, MinVersion: tls.VersionTLS12},
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	for _, mailbox := range c.Mailboxes {
		user := imapmemserver.NewUser(mailbox, "")
		for _, folder := range []string{inbox, "Sent"} {
			// It fails only for a folder that is there already.
			_ = user.Create(folder, &imap.CreateOptions{})
		}
		h.users[strings.ToLower(mailbox)] = user
	}
	h.imap = h.newIMAP()
	h.smtp = h.newSMTP()
	return h
}

// ServeIMAP serves IMAP over implicit TLS until ln or h is closed, and then
// returns nil.
func (h *Host) ServeIMAP(ln net.Listener) error {
	return h.serve(ln, func(ln net.Listener) error {
		return h.imap.Serve(tls.NewListener(ln, h.tls))
	})
}

// ServeSMTP serves submission, which begins in the clear and allows nothing
// before STARTTLS, until ln or h is closed, and then returns nil.
func (h *Host) ServeSMTP(ln net.Listener) error {
	return h.serve(ln, h.smtp.Serve)
}

// ServeSMTPS serves submission over implicit TLS until ln or h is closed, and
// then returns nil.
func (h *Host) ServeSMTPS(ln net.Listener) error {
	return h.serve(ln, func(ln net.Listener) error {
		return h.smtp.Serve(tls.NewListener(ln, h.tls))
	})
}

// Close closes all listeners and all connections, and waits for the sessions
// to end. The Host cannot be used again.
func (h *Host) Close() error {
	return h.open.Close()
}

func (h *Host) serve(ln net.Listener, serve func(net.Listener) error) error {
	if a, ok := ln.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("listener %s: not an address of this machine only", a), ln.Close())
	}
	if !h.open.add(ln) {
		return nil
	}
	defer h.open.remove(ln)
	if err := serve(listener{ln, &h.open}); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// logIn returns the mailbox that the token opens for a user of that name. A
// client of OAUTHBEARER may leave the name out.
func (h *Host) logIn(name, token string) (address string, user *imapmemserver.User, ok bool) {
	mailbox, ok := h.check(token)
	if !ok || name != "" && !strings.EqualFold(name, mailbox) {
		return "", nil, false
	}
	user, ok = h.users[strings.ToLower(mailbox)]
	return mailbox, user, ok
}
