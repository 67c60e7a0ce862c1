package daemon

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/gateway"
)

// A provider is a provider of the configuration with its OAuth client and mail servers.
type provider struct {
	client    *oauth.Provider
	config    *config.Provider
	title     string                     // name for people
	upstreams map[string]*proxy.Upstream // by protocol
	route     route
	turns     chan struct{}     // slots of token commands
	deliverer gateway.Deliverer // sends messages through an API and from devices; nil without smtp
}

// maxCommands limits the token commands of a provider that run at the same time. Each is a
// process with its own memory.
const maxCommands = 4

// newProvider returns a provider. It adds its secrets to those of the program.
func newProvider(c *config.Provider, metrics *oauth.Metrics, secrets *redact.Secrets, gateways *gateways) (*provider, error) {
	way, err := newRoute(c)
	if err != nil {
		return nil, fmt.Errorf("provider %s: proxy: %w", c.Name, err)
	}
	secrets.Keep(way.passwords(c.TokenURL)...)
	secrets.Keep(c.ClientSecret.Reveal())
	p := &provider{
		client: &oauth.Provider{
			Name:             c.Name,
			Family:           c.Family(),
			OAuth:            registration(c),
			Params:           c.AuthorizationParams,
			Issuer:           c.Issuer,
			RevocationURL:    c.RevocationURL,
			CredentialExpiry: credentialExpiry(c),
			Client:           oauth.NewHTTPClient(c.RootCAs, way.calls),
			Metrics:          metrics,
			Secrets:          secrets,
		},
		config:    c,
		title:     cmp.Or(c.Title, c.Name),
		upstreams: make(map[string]*proxy.Upstream),
		route:     way,
		turns:     make(chan struct{}, maxCommands),
	}
	if api := c.SMTPAPI; api != nil && len(api.Scopes) > 0 {
		p.client.Resources = map[oauth.Resource][]string{oauth.Resource(api.Name): api.Scopes}
	}
	for _, protocol := range config.Protocols() {
		if u := c.Upstream(protocol); u != nil {
			p.upstreams[protocol] = newUpstream(c, u, way)
			if protocol == "smtp" {
				p.deliverer = newDeliverer(c, way)
			}
			if protocol == "smtp" && c.SMTPAPI != nil {
				p.upstreams[protocol] = gateways.forAPI(c, p.deliverer)
			}
			p.upstreams[protocol].Secrets = secrets
		}
	}
	switch {
	case c.ClientCertificate != nil:
		p.client.Assertion, err = oauth.NewCertificateAssertion(c.ClientCertificate, c.ClientCertificateAlgorithm, "")
		if err != nil {
			return nil, fmt.Errorf("provider %s: client_certificate: %w", c.Name, err)
		}
	case c.ClientAssertionFile != "":
		p.client.Assertion = oauth.FederatedToken(c.ClientAssertionFile)
	}
	return p, nil
}

// registration returns the OAuth client of a provider.
func registration(c *config.Provider) oauth2.Config {
	style := oauth2.AuthStyleInParams
	if c.AuthStyle == "header" {
		style = oauth2.AuthStyleInHeader
	}
	return oauth2.Config{
		ClientID:     c.ClientID,
		ClientSecret: c.ClientSecret.Reveal(),
		Endpoint: oauth2.Endpoint{
			AuthURL:       c.AuthorizationURL,
			DeviceAuthURL: c.DeviceAuthorizationURL,
			TokenURL:      c.TokenURL,
			AuthStyle:     style,
		},
		RedirectURL: c.RedirectURL,
		Scopes:      c.Scopes,
	}
}

// credentialExpiry returns when the client's secret or certificate expires, or zero if that
// is unknown.
func credentialExpiry(c *config.Provider) time.Time {
	if c.ClientCertificate != nil {
		return c.ClientCertificate.Leaf.NotAfter
	}
	return c.ClientSecretExpires
}

func newUpstream(c *config.Provider, u *config.Upstream, way route) *proxy.Upstream {
	mechanism := c.Mechanism
	if c.Flow == flow.AppPassword && mechanism == "auto" {
		mechanism = "password"
	}
	return &proxy.Upstream{
		Provider:       c.Name,
		Family:         c.FamilyOf(u),
		Host:           u.Host,
		Port:           u.Port,
		STARTTLS:       u.TLS == config.TLSStartTLS,
		Mechanism:      mechanism,
		Sessions:       u.Sessions,
		Dial:           way.mail,
		WithoutConsent: !c.Flow.NeedsConsent(),
		TLS: &tls.Config{
			ServerName: u.Host,
			RootCAs:    c.RootCAs,
			MinVersion: tls.VersionTLS12, // RFC 8996
			// Resumption saves both sides most of a handshake.
			ClientSessionCache: tls.NewLRUClientSessionCache(8),
		},
	}
}

// newAccount returns the account a, which obtains its tokens by the flow of the provider.
func (p *provider) newAccount(a *config.Account, s *store.Store, log *slog.Logger) *auth.Account {
	if p.config.Flow == flow.AppPassword {
		return auth.NewPasswordAccount(a.Name, p.client, a.UpstreamPassword.Reveal(), s, log)
	}
	return auth.NewAccount(a.Name, p.client, p.flowOf(a), s, log)
}

func (p *provider) flowOf(a *config.Account) oauth.Flow {
	c := p.config
	switch c.Flow {
	case flow.ClientCredentials:
		return oauth.ClientCredentials{}
	case flow.ServiceAccount:
		key := c.ServiceAccount
		return oauth.ServiceAccount{Email: key.Email, KeyID: key.KeyID, Key: key.Key, Subject: a.Name}
	case flow.Password:
		return oauth.ResourceOwner{User: a.Name, Password: a.UpstreamPassword.Reveal()}
	case flow.Command:
		args := make([]string, len(c.TokenCommand))
		for i, arg := range c.TokenCommand {
			args[i] = strings.ReplaceAll(arg, "{account}", a.Name)
		}
		return oauth.Command{Args: args, Timeout: c.TokenCommandTimeout, Turns: p.turns}
	}
	return oauth.Consent{}
}
