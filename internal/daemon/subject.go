package daemon

import (
	"context"
	"strings"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/doctor"
	"github.com/xoauthd/xoauthd/proxy"
)

// subject returns the account for package doctor.
func (m *manager) subject() doctor.Subject {
	a := m.account
	p := a.provider.config
	s := doctor.Subject{
		Account: a.Name(),
		Pattern: a.config.Pattern,
		Enabled: a.config.Enabled,
		Flow:    p.Flow,
		Remedy:  strings.ToUpper(a.remedy[:1]) + a.remedy[1:], // it may follow a hint
		Provider: doctor.Provider{
			Name:     p.Name,
			Title:    p.Title,
			Proof:    proof(p),
			TokenURL: p.TokenURL,
			Scopes:   p.Scopes,
			RootCAs:  p.RootCAs,
			Proxy:    a.provider.route.calls,
			Through:  a.provider.route.through,
		},
		Secrets: a.provider.client.Secrets,
		Status:  a.grants.Status,
		Token:   a.grants.Token,
		Hint:    proxy.Hint,

		LoginEnded: a.LoginEnded,
	}
	for _, l := range m.daemon.config.Listeners {
		if l.Serves(a.config) {
			s.Listeners = append(s.Listeners, doctor.Listener{
				Protocol:  l.Protocol,
				Address:   m.daemon.addressOf(l),
				Systemd:   l.Systemd,
				TLS:       l.TLS == config.TLSImplicit,
				Selective: l.ClientCAs != nil && l.TLS == config.TLSImplicit || len(l.Proxies) > 0 || l.Devices != nil || len(l.LocalUsers) > 0,
			})
		}
	}
	if api := p.SMTPAPI; api != nil {
		s.API = &doctor.SendAPI{
			Title:      map[string]string{"graph": "Microsoft Graph", "gmail": "the Gmail API"}[api.Name],
			URL:        api.URL,
			Permission: map[string]string{"graph": "Mail.Send"}[api.Name],
			Token:      func(ctx context.Context) (string, error) { return a.sendingToken(ctx, "") },
		}
	}
	if a.provider.deliverer != nil {
		s.Send = a.sendTest
	}
	for _, protocol := range m.protocols() {
		if protocol == "smtp" && s.API != nil {
			continue
		}
		s.Upstreams = append(s.Upstreams, doctor.Upstream{Upstream: a.Upstream(protocol), Protocol: protocol, User: a.config.User(protocol)})
	}
	return s
}

// addressOf returns the address at which clients connect to a listener. It is empty for a
// socket of systemd that this process does not have.
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

// proof returns the key of the configuration with the credentials of the OAuth client, or
// "" if it has none.
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
