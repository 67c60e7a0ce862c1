package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/idp"
	"github.com/xoauthd/xoauthd/internal/testing/mailhost"
)

// clientID is the client_id of xoauthd at the provider.
const clientID = "xoauthd-demo"

// places has the addresses of all servers.
type places struct {
	IMAP, SMTP, Web, Metrics string // of xoauthd
	IDP                      string // of the provider's OAuth 2.0 server

	UpstreamIMAP, UpstreamSMTP int // ports of the provider's mail servers

	idp, imap, smtp net.Listener
}

// newPlaces returns free ports: those of the documentation if they are free, so that
// commands of the documentation work too.
func newPlaces() (*places, error) {
	p := new(places)
	var faults []error
	for address, port := range map[*string]int{&p.IMAP: 1143, &p.SMTP: 1587, &p.Web: 1180, &p.Metrics: 9180} {
		ln, err := listen(port)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		*address = ln.Addr().String()
		ln.Close() // for the daemon to open
	}
	for ln, port := range map[*net.Listener]int{&p.idp: 1181, &p.imap: 1993, &p.smtp: 1588} {
		var err error
		if *ln, err = listen(port); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	p.IDP = p.idp.Addr().String()
	p.UpstreamIMAP = p.imap.Addr().(*net.TCPAddr).Port
	p.UpstreamSMTP = p.smtp.Addr().(*net.TCPAddr).Port
	return p, nil
}

// listen listens on loopback: on port if it is free, or else 10,000 above, outside the
// system's range for outgoing connections.
func listen(port int) (net.Listener, error) {
	const step, last = 10_000, 30_000
	for p := port; p < last; p += step {
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p)); err == nil {
			if freeAtIPv6(p) {
				return ln, nil
			}
			ln.Close()
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// freeAtIPv6 reports whether a port is free on [::1] too: the pages listen on both
// addresses of localhost.
func freeAtIPv6(port int) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", port))
	if err == nil {
		ln.Close()
	}
	return !errors.Is(err, syscall.EADDRINUSE)
}

// A provider has the servers of the mail provider.
type provider struct {
	ca     *ca.CA
	idp    *idp.Server
	secret string // of the client
	web    *http.Server
	mail   *mailhost.Host
}

// startProvider starts the servers of the provider.
func startProvider(at *places) (*provider, error) {
	authority, err := ca.New()
	if err != nil {
		return nil, err
	}
	certificate, err := authority.Issue("localhost", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	p := &provider{ca: authority, secret: rand.Text()}
	_, web, err := net.SplitHostPort(at.Web)
	if err != nil {
		return nil, err
	}
	p.idp, err = idp.New(idp.Config{
		Issuer:       "http://" + at.IDP,
		ClientID:     clientID,
		ClientSecret: p.secret,
		RedirectURLs: []string{"http://localhost:" + web + "/callback"},
		Users:        []string{alice, bob},
	})
	if err != nil {
		return nil, err
	}
	p.mail = mailhost.New(mailhost.Config{Certificate: certificate, Check: p.idp.User, Mailboxes: []string{alice, bob}})
	p.web = &http.Server{Handler: p.idp, ReadHeaderTimeout: 10 * time.Second}
	// They return an error when they are closed.
	go p.web.Serve(at.idp)
	go p.mail.ServeIMAP(at.imap)
	go p.mail.ServeSMTP(at.smtp)
	return p, nil
}

func (p *provider) stop() {
	p.web.Close()
	p.mail.Close()
}
