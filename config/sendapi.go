package config

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// A SendAPI is a provider's HTTP API for sending, which xoauthd uses in place of the
// provider's SMTP server. Clients still use SMTP.
type SendAPI struct {
	Name string // "graph" (Microsoft Graph) or "gmail" (Gmail API)
	URL  string // base URL, such as https://graph.microsoft.com/v1.0

	// Scopes are those of the API's own access token. If it is empty, the token of the mail
	// servers is valid for the API as well.
	Scopes []string

	// UnlistedRecipients says what becomes of a message whose header names recipients that
	// the client has not given by SMTP, because the API sends to all of them: "reject" it,
	// "send" to them too, or "remove" them from the header.
	UnlistedRecipients string
}

// ConsentScopes returns the scopes that a person consents to: those for the mail servers, and
// for the API for sending.
func (p *Provider) ConsentScopes() []string {
	if p.SMTPAPI == nil {
		return p.Scopes
	}
	return slices.Concat(p.Scopes, p.SMTPAPI.Scopes)
}

// sendAPIs are the base URLs of the APIs.
var sendAPIs = map[string]string{
	"graph": "https://graph.microsoft.com/v1.0",
	"gmail": "https://gmail.googleapis.com",
}

// Microsoft's and Google's scopes for sending.
const (
	scopeSMTP      = "https://outlook.office.com/SMTP.Send"
	scopeGmailSend = "https://www.googleapis.com/auth/gmail.send"
	scopeGmail     = "https://mail.google.com/"
)

// graphVersion is in the path of all URLs of Microsoft Graph.
var graphVersion = regexp.MustCompile(`^https?://[^/]+/([^?#]*/)?(v[0-9]+\.[0-9]+|beta)/?$`)

// sendAPI reads the keys of an API that replaces the SMTP server of p.
func (t *table) sendAPI(p *Provider) *SendAPI {
	keys := []string{"smtp_api_url", "smtp_api_scopes", "unlisted_recipients"}
	name := oneOf(t, "smtp_api", "", "graph", "gmail")
	api := &SendAPI{
		Name:               name,
		URL:                t.url("smtp_api_url", sendAPIs[name]),
		Scopes:             t.texts("smtp_api_scopes", nil),
		UnlistedRecipients: oneOf(t, "unlisted_recipients", "reject", "reject", "send", "remove"),
	}
	if name == "" {
		for _, key := range t.present(keys...) {
			t.fault(key, `is not used without smtp_api`)
		}
		return nil
	}
	if t.has("smtp") {
		t.fault("smtp", "is not used with smtp_api, which replaces the SMTP server; remove one of the two keys")
	}
	if name == "graph" && !graphVersion.MatchString(api.URL) {
		t.fault("smtp_api_url", "%s has no version of Microsoft Graph in its path, such as %s", api.URL, sendAPIs[name])
	}
	switch why := noAPI(name, p); {
	case why != "":
		t.fault("smtp_api", "%s", why)
	case t.has("smtp_api_scopes"):
	case p.Family() == FamilyMicrosoft && p.Flow != flow.Command:
		t.graphScopes(p, api)
	}
	return api
}

// upstream returns the host of the API.
func (a *SendAPI) upstream() *Upstream {
	u, err := url.Parse(a.URL)
	if err != nil {
		return &Upstream{} // already reported
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = 443
	}
	return &Upstream{Host: u.Hostname(), Port: port, TLS: TLSImplicit}
}

// noAPI returns why p cannot send through an API, or "".
func noAPI(name string, p *Provider) string {
	family := familyOfPreset(p.Preset)
	switch {
	case p.Flow == flow.AppPassword:
		return `requires an access token, but the flow "app_password" has a password`
	case name == "graph" && family != "" && family != FamilyMicrosoft:
		return `"graph" is for Microsoft's presets`
	case name == "gmail" && family != "" && family != FamilyGoogle:
		return `"gmail" is for the preset "google"`
	}
	return ""
}

// graphScopes sets the scopes of Graph's own access token: Microsoft issues a token for
// one resource only. They name the host of the API, which differs in national clouds.
func (t *table) graphScopes(p *Provider, api *SendAPI) {
	u, err := url.Parse(api.URL)
	if err != nil {
		return // already reported
	}
	scope := "/Mail.Send"
	if p.Flow == flow.ClientCredentials {
		scope = "/.default" // RFC 6749 section 4.4 has no consent that could name single scopes
	}
	api.Scopes = []string{u.Scheme + "://" + u.Host + scope}
}

// sendAPIScopes replaces the preset's scope for SMTP by that for the API. It removes the
// scopes for reading mail if no listener lets clients read mail: a person then consents
// to sending only.
func (p *Provider) sendAPIScopes(reads bool) {
	if p.SMTPAPI == nil {
		return
	}
	without := func(scopes ...string) {
		p.Scopes = slices.DeleteFunc(p.Scopes, func(s string) bool { return slices.Contains(scopes, s) })
	}
	if p.SMTPAPI.Name == "gmail" {
		if !reads {
			without(scopeGmail)
		}
		p.Scopes = slices.Insert(p.Scopes, 0, scopeGmailSend)
		return
	}
	without(scopeSMTP)
	if !reads { // the token of Graph is the only one
		without(scopeIMAP, scopeOutlook)
		p.Scopes = slices.Insert(p.Scopes, 0, p.SMTPAPI.Scopes...)
		p.SMTPAPI.Scopes = nil
	}
}
