package config

// Presets returns the names of the presets, sorted.
func Presets() []string { return []string{"google", "microsoft", "outlook"} }

// preset returns what is known of a provider, or nil if there is no preset of
// that name. The empty name has a preset too, in which nothing is set. A
// server's port follows from its TLS mode.
func preset(name, tenant string) *Provider {
	p := &Provider{Preset: name}
	switch name {
	case "":
	case "google":
		p.Title = "Google"
		p.AuthorizationURL = "https://accounts.google.com/o/oauth2/v2/auth"
		p.TokenURL = "https://oauth2.googleapis.com/token"
		p.RevocationURL = "https://oauth2.googleapis.com/revoke"
		p.Issuer = "https://accounts.google.com"
		p.Scopes = []string{"https://mail.google.com/"}
		// Without offline there is no refresh token; without consent there is
		// none the second time.
		p.AuthorizationParams = map[string]string{"access_type": "offline", "prompt": "consent"}
		p.IMAP = &Upstream{Host: "imap.gmail.com", TLS: "implicit"}
		p.SMTP = &Upstream{Host: "smtp.gmail.com", TLS: "implicit"}
	case "microsoft":
		p.Title = "Microsoft 365"
		p.microsoft(tenant)
		p.SMTP = &Upstream{Host: "smtp.office365.com", TLS: "starttls"}
	case "outlook":
		p.Title = "Outlook.com"
		p.microsoft("consumers")
		p.SMTP = &Upstream{Host: "smtp-mail.outlook.com", TLS: "starttls"}
	default:
		return nil
	}
	return p
}

// microsoft sets what is the same for companies and for persons. There is no
// endpoint for revocation.
func (p *Provider) microsoft(tenant string) {
	base := "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/"
	p.AuthorizationURL = base + "authorize"
	p.TokenURL = base + "token"
	p.Scopes = []string{
		"https://outlook.office.com/IMAP.AccessAsUser.All",
		"https://outlook.office.com/SMTP.Send",
		"offline_access",
	}
	p.IMAP = &Upstream{Host: "outlook.office365.com", TLS: "implicit"}
}
