// Package mailhost is a mail provider in memory for the demo and the tests: an IMAP server
// and a submission server with the same mailboxes. It accepts no passwords: clients log in
// over TLS, by XOAUTH2 or OAUTHBEARER, with an access token.
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

// Config is the configuration of a Host.
type Config struct {
	// Certificate is the certificate of both servers.
	Certificate tls.Certificate

	// Check returns the mailbox that an access token opens, and whether the token is
	// valid. Several goroutines call it.
	Check func(token string) (mailbox string, ok bool)

	// Mailboxes are the addresses that have a mailbox here.
	Mailboxes []string

	// Log receives a line for each login, and at the debug level the messages of the
	// server libraries; nil discards them.
	Log *slog.Logger
}

// A Host has the servers of a mail provider.
type Host struct {
	check func(token string) (mailbox string, ok bool)
	users map[string]*imapmemserver.User // by address in lower case
	log   *slog.Logger
	tls   *tls.Config
	imap  *imapserver.Server
	smtp  *smtp.Server
	open  tracker
}

// New returns a Host without listeners. Each mailbox has an empty INBOX and an empty
// folder Sent.
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
			// It fails only if the folder exists.
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

// ServeSMTP serves submission with required STARTTLS until ln or h is closed, and then
// returns nil.
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

// logIn returns the mailbox that the token opens for a user. With OAUTHBEARER, the user
// name may be empty.
func (h *Host) logIn(name, token string) (address string, user *imapmemserver.User, ok bool) {
	mailbox, ok := h.check(token)
	if !ok || name != "" && !strings.EqualFold(name, mailbox) {
		return "", nil, false
	}
	user, ok = h.users[strings.ToLower(mailbox)]
	return mailbox, user, ok
}
