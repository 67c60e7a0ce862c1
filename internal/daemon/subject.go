package daemon

import (
	"strings"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/doctor"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/proxy"
)

// subject returns the account for package doctor.
func (p *page) subject() doctor.Subject {
	s := doctor.Subject{
		Account:  p.Name(),
		Pattern:  p.config.Pattern,
		Enabled:  p.config.Enabled,
		Flow:     p.Flow(),
		Password: p.Flow() == flow.AppPassword,
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
				TLS:       l.TLS == config.TLSImplicit,
				Selective: l.ClientCAs != nil && l.TLS == config.TLSImplicit || len(l.Proxies) > 0 || len(l.LocalUsers) > 0,
			})
		}
	}
	for _, protocol := range p.protocols() {
		s.Upstreams = append(s.Upstreams, doctor.Upstream{Upstream: p.Upstream(protocol), Protocol: protocol, User: p.config.User(protocol)})
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
