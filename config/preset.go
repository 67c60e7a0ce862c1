package config

import (
	"slices"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// Presets returns the names of the presets, sorted.
func Presets() []string { return []string{"google", "icloud", "microsoft", "outlook"} }

// preset returns a provider with the settings of a preset, or nil if the preset is
// unknown. The empty preset sets nothing. The ports of servers depend on their TLS mode
// and are not set. Sessions is the limit per mailbox that the provider documents.
func preset(name, tenant string, f *flowKeys) *Provider {
	p := &Provider{Preset: name}
	switch name {
	case "":
	case "google":
		p.google(f)
	case "icloud":
		p.Title = "iCloud"
		p.IMAP = &Upstream{Host: "imap.mail.me.com", TLS: TLSImplicit}
		p.SMTP = &Upstream{Host: "smtp.mail.me.com", TLS: TLSStartTLS}
	case "microsoft":
		p.Title = "Microsoft 365"
		p.microsoft(tenant, f)
		p.SMTP = &Upstream{Host: "smtp.office365.com", TLS: TLSStartTLS, Sessions: 3}
		p.MessagesPerMinute = 30
	case "outlook":
		p.Title = "Outlook.com"
		p.microsoft("consumers", f)
		p.SMTP = &Upstream{Host: "smtp-mail.outlook.com", TLS: TLSStartTLS}
	default:
		return nil
	}
	p.clearUnused(f)
	return p
}

func (p *Provider) google(f *flowKeys) {
	p.Title = "Google"
	p.AuthorizationURL = "https://accounts.google.com/o/oauth2/v2/auth"
	p.TokenURL = "https://oauth2.googleapis.com/token"
	p.RevocationURL = "https://oauth2.googleapis.com/revoke"
	p.Issuer = "https://accounts.google.com"
	p.Scopes = []string{scopeGmail}
	if f.flow.NeedsConsent() {
		p.Scopes = append(p.Scopes, "openid", "email") // identify the user who consented
	}
	// Google returns a refresh token only with access_type=offline, and after the first
	// authorization only with prompt=consent.
	p.AuthorizationParams = map[string]string{"access_type": "offline", "prompt": "consent"}
	p.IMAP = &Upstream{Host: "imap.gmail.com", TLS: TLSImplicit, Sessions: 15}
	p.SMTP = &Upstream{Host: "smtp.gmail.com", TLS: TLSImplicit}
	p.POP3 = &Upstream{Host: "pop.gmail.com", TLS: TLSImplicit}
}

// microsoft sets what organizations and personal accounts share. Microsoft has no
// revocation endpoint.
func (p *Provider) microsoft(tenant string, f *flowKeys) {
	base := "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/"
	p.AuthorizationURL = base + "authorize"
	p.DeviceAuthorizationURL = base + "devicecode"
	p.TokenURL = base + "token"
	p.Issuer = entraIssuer(tenant)
	p.Scopes = []string{
		scopeIMAP,
		scopeSMTP,
		"offline_access",
	}
	switch {
	case f.flow.NeedsConsent():
		p.Scopes = append(p.Scopes, "openid", "profile", "email") // identify the user who consented
	case f.flow == flow.ClientCredentials:
		p.Scopes = []string{scopeOutlook}
	}
	p.IMAP = &Upstream{Host: "outlook.office365.com", TLS: TLSImplicit}
	p.POP3 = &Upstream{Host: "outlook.office365.com", TLS: TLSImplicit}
}

// Microsoft's scopes for reading mail.
const (
	scopeIMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"
	scopePOP3 = "https://outlook.office.com/POP.AccessAsUser.All"

	scopeOutlook = "https://outlook.office365.com/.default" // all permissions of an application
)

// addScopes adapts the scopes of presets to the listeners. It adds Microsoft's scope for
// POP3 to providers that a POP3 listener serves. For other providers it would cause harm:
// Microsoft rejects it if the registration lacks the permission, and users would consent
// to an unused permission.
func (f *file) addScopes(c *Config) {
	for _, p := range f.presetScopes {
		serves := func(protocol string) bool {
			return slices.ContainsFunc(c.Listeners, func(l Listener) bool {
				return l.Protocol == protocol && (l.Provider == "" || l.Provider == p.Name)
			})
		}
		if i := slices.Index(p.Scopes, scopeIMAP); i >= 0 && serves("pop3") {
			p.Scopes = slices.Insert(p.Scopes, i+1, scopePOP3)
		}
		p.sendAPIScopes(serves("imap") || serves("pop3"))
	}
}

// requiresFullAddress reports whether user names at the provider are known to be full
// addresses. iCloud's IMAP server expects the part before the @.
func (p *Provider) requiresFullAddress() bool { return p.Preset != "" && p.Preset != "icloud" }

// clearUnused clears the settings of a preset that the flow does not use.
func (p *Provider) clearUnused(f *flowKeys) {
	for key, url := range map[string]*string{
		"authorization_url":        &p.AuthorizationURL,
		"device_authorization_url": &p.DeviceAuthorizationURL,
		"token_url":                &p.TokenURL,
		"revocation_url":           &p.RevocationURL,
		"issuer":                   &p.Issuer,
	} {
		if !f.uses(key) {
			*url = ""
		}
	}
	if !f.uses("scopes") {
		p.Scopes = nil
	}
	if !f.uses("authorization_params") {
		p.AuthorizationParams = nil
	}
}

// incompatible returns why a preset does not support a flow, or "".
func incompatible(preset string, f flow.Flow) string {
	type pair struct {
		preset string
		flow   flow.Flow
	}
	switch (pair{preset, f}) {
	case pair{"google", flow.DeviceCode}:
		return `Google does not allow the mail scope for devices; use "authorization_code"`
	case pair{"google", flow.ClientCredentials}:
		return `Google does not support this flow for mail; use "service_account"`
	case pair{"google", flow.Password}:
		return `Google does not support this flow; use "authorization_code"`
	case pair{"microsoft", flow.ServiceAccount}:
		return `only Google has service accounts; use "client_credentials"`
	case pair{"outlook", flow.ServiceAccount}:
		return `only Google has service accounts; use "authorization_code"`
	case pair{"outlook", flow.ClientCredentials}:
		return `Microsoft does not support this flow for personal mailboxes; use "authorization_code"`
	case pair{"outlook", flow.Password}:
		return `Microsoft does not support this flow for personal accounts; use "authorization_code"`
	case pair{"microsoft", flow.AppPassword}, pair{"outlook", flow.AppPassword}:
		return `Microsoft does not accept passwords for IMAP; use "authorization_code"`
	}
	if preset == "icloud" && f != flow.AppPassword {
		return `iCloud does not support OAuth 2.0; use "app_password"`
	}
	return ""
}
