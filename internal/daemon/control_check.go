package daemon

import (
	"context"
	"strings"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/control"
	"github.com/xoauthd/xoauthd/internal/doctor"
	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/proxy"
)

// A Running tells which daemon it is that carries out a command.
type Running struct {
	Version     string `json:"version"`
	Fingerprint string `json:"fingerprint"` // of the configuration that it has read

	// Warning is what is wrong with the daemon itself; empty if nothing is.
	Warning string `json:"warning,omitempty"`
}

func (d *Daemon) running() Running {
	r := Running{Version: Version(), Fingerprint: d.config.Fingerprint}
	if d.store.Full() {
		r.Warning = "the disk of " + d.config.StateDirectory + " is full: grants may be lost when xoauthd ends. Free space there"
	}
	return r
}

// check examines an account. It is done here, where the token is, and where the
// network and the sandbox are those of its sessions.
func (k *controller) check(ctx context.Context, r control.Request, c *control.Conversation) error {
	p, err := k.page(r.Account)
	if err != nil {
		return err
	}
	if err := c.Tell(EventRunning, k.daemon.running()); err != nil {
		return err
	}
	ctx, cancel := p.hurried(ctx)
	defer cancel()
	var told error
	doctor.Examine(ctx, p.subject(), func(s step.Step) {
		if told == nil {
			told = c.Tell(EventStep, s)
		}
	})
	return told
}

// subject is the account as the doctor looks at it.
func (p *page) subject() doctor.Subject {
	s := doctor.Subject{
		Account:  p.Name(),
		Pattern:  p.config.Pattern,
		Enabled:  p.config.Enabled,
		Flow:     p.Flow(),
		Password: p.Flow() == "app_password",
		Remedy:   strings.ToUpper(p.remedy[:1]) + p.remedy[1:], // it may follow a hint
		Provider: doctor.Provider{
			Name:     p.provider.Name,
			Title:    p.provider.config.Title,
			Proof:    proof(p.provider.config),
			TokenURL: p.provider.config.TokenURL,
			Scopes:   p.Registration().Scopes,
			RootCAs:  p.provider.config.RootCAs,
			Proxy:    p.provider.route.calls,
			Through:  p.provider.route.through,
		},
		Secrets: p.provider.Secrets,
		Status:  p.Status,
		Token:   p.Account.Token,
		Hint:    proxy.Hint,

		LoginEnded: p.LoginEnded,
	}
	for _, l := range p.daemon.config.Listeners {
		if l.Provider == "" || l.Provider == p.provider.Name {
			s.Listeners = append(s.Listeners, doctor.Listener{
				Protocol:  l.Protocol,
				Address:   p.daemon.addressOf(l),
				Systemd:   l.Systemd,
				TLS:       l.TLS == "implicit",
				Selective: l.ClientCAs != nil && l.TLS == "implicit" || len(l.Proxies) > 0 || len(l.LocalUsers) > 0,
			})
		}
	}
	for _, protocol := range p.protocols() {
		s.Upstreams = append(s.Upstreams, doctor.Upstream{Upstream: p.Upstream(protocol), Protocol: protocol, User: p.config.User(protocol)})
	}
	return s
}

// addressOf is where programs connect to a listener. It is empty for a socket that
// systemd has not handed over to this process.
func (d *Daemon) addressOf(l config.Listener) string {
	for _, open := range d.listeners {
		if l.Systemd != "" && open.systemd == l.Systemd {
			if open.Addr().Network() == "unix" {
				return "unix:" + open.Addr().String()
			}
			return open.Addr().String()
		}
	}
	return l.Address
}

// proof is the key that has how the client shows who it is, if it does.
func proof(c *config.Provider) string {
	switch {
	case c.ClientCertificate != nil:
		return "client_certificate"
	case c.ClientAssertionFile != "":
		return "client_assertion_file"
	case c.ClientSecret != "":
		return "client_secret"
	}
	return ""
}
