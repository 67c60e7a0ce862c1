package config

import (
	"net/url"
	"strings"
)

// Families of providers with known behavior beyond the standards.
const (
	FamilyGoogle    = "google"
	FamilyMicrosoft = "microsoft"
	FamilyYahoo     = "yahoo" // and AOL
	FamilyApple     = "apple"
)

// families maps the domains of endpoints and mail servers to families.
var families = map[string]string{
	"google.com":          FamilyGoogle,
	"googleapis.com":      FamilyGoogle,
	"gmail.com":           FamilyGoogle,
	"googlemail.com":      FamilyGoogle,
	"live.com":            FamilyMicrosoft,
	"microsoft.com":       FamilyMicrosoft,
	"microsoftonline.com": FamilyMicrosoft,
	"microsoftonline.us":  FamilyMicrosoft,
	"microsoftonline.cn":  FamilyMicrosoft,
	"sts.windows.net":     FamilyMicrosoft,
	"chinacloudapi.cn":    FamilyMicrosoft,
	"office.com":          FamilyMicrosoft,
	"office365.com":       FamilyMicrosoft,
	"office365.us":        FamilyMicrosoft,
	"outlook.com":         FamilyMicrosoft,
	"outlook.cn":          FamilyMicrosoft,
	"yahoo.com":           FamilyYahoo,
	"yahoo.co.jp":         FamilyYahoo,
	"yahoodns.net":        FamilyYahoo,
	"aol.com":             FamilyYahoo,
	"me.com":              FamilyApple,
	"icloud.com":          FamilyApple,
}

// familyOf returns the family of a host, or "".
func familyOf(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for {
		if family := families[host]; family != "" {
			return family
		}
		_, parent, found := strings.Cut(host, ".")
		if !found {
			return ""
		}
		host = parent
	}
}

// familyOfPreset returns the family of a preset, or "".
func familyOfPreset(preset string) string {
	switch preset {
	case "google":
		return FamilyGoogle
	case "microsoft", "outlook":
		return FamilyMicrosoft
	case "icloud":
		return FamilyApple
	}
	return ""
}

// Family returns the family of the provider's token endpoint, or "": the family of the
// preset or, without one, of the host of the issuer or the token endpoint.
func (p *Provider) Family() string {
	if family := familyOfPreset(p.Preset); family != "" {
		return family
	}
	for _, text := range []string{p.Issuer, p.TokenURL} {
		if u, err := url.Parse(text); err == nil && familyOf(u.Hostname()) != "" {
			return familyOf(u.Hostname())
		}
	}
	return ""
}

// FamilyOf returns the family of one of the provider's mail servers, or "": the family of
// the preset or, without one, of the host of the server.
func (p *Provider) FamilyOf(u *Upstream) string {
	if family := familyOfPreset(p.Preset); family != "" {
		return family
	}
	return familyOf(u.Host)
}
