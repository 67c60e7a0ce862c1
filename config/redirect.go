package config

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/pagepath"
)

// redirects sets the redirect URLs of the providers in tables that need one. A single
// provider has public_url and /callback. Several have /callback/NAME each, so that
// xoauthd does not mistake a response of one for a response of another (mix-up, RFC 9700
// section 4.4). The key redirect_url overrides both.
func (f *file) redirects(tables []*table, providers map[string]*Provider, web *Web) {
	var browser []*table
	for _, t := range tables {
		if providers[t.name()].Flow == flow.AuthorizationCode {
			browser = append(browser, t)
		}
	}
	for _, t := range browser {
		p, path := providers[t.name()], pagepath.Callback
		if len(browser) > 1 {
			path += "/" + url.PathEscape(p.Name)
		}
		switch {
		case t.has("redirect_url") || web == nil || web.PublicURL == "":
		case p.Name == "." || p.Name == "..":
			f.fault(t.pos.line(), "%s: the name cannot be part of a redirect URL: set redirect_url, or use another name", t.header())
		default:
			p.RedirectURL = web.PublicURL + path
		}
	}
	f.checkRedirects(browser, providers)
}

// checkRedirects reports providers with the same path in their redirect URLs. One of them
// could redirect the browser to the other, and receive the code that the other issues.
// This is safe only if both are known to send iss (RFC 9207), which xoauthd then compares.
func (f *file) checkRedirects(browser []*table, providers map[string]*Provider) {
	for i, t := range browser {
		p := providers[t.name()]
		for _, other := range browser[:i] {
			q := providers[other.name()]
			if p.requiresIssuer() && q.requiresIssuer() || !sameRedirect(p.RedirectURL, q.RedirectURL) {
				continue
			}
			f.fault(cmp.Or(t.line("redirect_url"), t.pos.line()), "%s and %s have the same path in their redirect URLs (%s), so each could receive the authorization codes of the other: "+
				"set another redirect_url for one of them, such as one that ends in %s/%s, and register it; or set issuer and require_iss = true in both",
				other.header(), t.header(), p.RedirectURL, pagepath.Callback, url.PathEscape(p.Name))
			break
		}
	}
}

// requiresIssuer reports whether a response of p must contain p's issuer.
func (p *Provider) requiresIssuer() bool { return p.Issuer != "" && p.RequireIss }

// sameRedirect reports whether a response to a cannot be distinguished from one to b.
// The pages compare paths only: a reverse proxy may change the host name.
func sameRedirect(a, b string) bool {
	u, errA := url.Parse(a)
	v, errB := url.Parse(b)
	return a != "" && b != "" && errA == nil && errB == nil &&
		strings.TrimSuffix(u.EscapedPath(), "/") == strings.TrimSuffix(v.EscapedPath(), "/")
}

// redirectURL reads the redirect URL, or returns "" for the default. It must not be the
// URL of a page.
func (t *table) redirectURL(web *Web) string {
	s := t.pageURL("redirect_url", "")
	u, err := url.Parse(s)
	if s == "" || err != nil {
		return s
	}
	base := ""
	if web != nil {
		if public, err := url.Parse(web.PublicURL); err == nil {
			base = public.EscapedPath()
		}
	}
	for _, page := range pagepath.Reserved() {
		if strings.HasPrefix(u.EscapedPath(), base+page) {
			t.fault("redirect_url", "the path %s belongs to another page; use for example %s", u.Path, base+pagepath.Callback)
		}
	}
	return s
}

// issuer reads the provider's issuer, and whether responses must contain it. The issuer
// of a preset applies only to the authorization_url of the preset.
func (t *table) issuer(p *Provider) {
	if t.has("authorization_url") {
		p.Issuer = ""
	}
	p.Issuer = t.url("issuer", p.Issuer)
	p.RequireIss, p.IssDecided = t.boolean("require_iss", false), t.has("require_iss")
	if p.RequireIss && p.Issuer == "" && !t.has("issuer") {
		t.fault("require_iss", "requires an issuer to compare iss with; set issuer to the value in the provider's metadata (/.well-known/oauth-authorization-server or openid-configuration)")
	}
}

// Registration returns the redirect URI to register at the provider. If it differs from
// RedirectURL, note is a sentence that explains why.
func (p *Provider) Registration() (uri, note string) {
	u, err := url.Parse(p.RedirectURL)
	if err != nil || !p.isMicrosoft() || u.Scheme != "http" || !strings.EqualFold(u.Hostname(), "localhost") || u.Port() == "" {
		return p.RedirectURL, ""
	}
	u.Host = u.Hostname()
	return u.String(), "Microsoft ignores the port of localhost, so it is registered without one."
}

// isMicrosoft reports whether users sign in at Microsoft.
func (p *Provider) isMicrosoft() bool {
	u, err := url.Parse(p.AuthorizationURL)
	return err == nil && slices.Contains([]string{
		"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn",
	}, strings.ToLower(u.Hostname()))
}

// entraIssuer returns the issuer of a Microsoft Entra tenant. For a domain or a word for
// many tenants, the issuer contains the unknown id of the tenant. {tenantid} stands for
// it, as in Microsoft's metadata.
func entraIssuer(tenant string) string {
	id := "{tenantid}"
	switch {
	case tenant == "consumers":
		id = "9188040d-6c67-4c5b-b112-36a304b66dad" // the tenant of all personal accounts
	case tenantID.MatchString(tenant):
		id = strings.ToLower(tenant)
	}
	return "https://login.microsoftonline.com/" + id + "/v2.0"
}
