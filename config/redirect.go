package config

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// pagePaths are the paths of the pages, below the path of public_url, that no
// redirect URL may have. They are those of authorize.PagePaths, which a test in
// cmd/internal/daemon holds them to.
var pagePaths = []string{"/authorize/", "/result/", "/style.css", "/icon.svg"}

// redirects gives the providers of t their redirect URLs. One provider that
// people authorize in a browser has public_url and /callback; several have
// /callback/NAME each, so that a response of one is not taken for one of
// another (mix-up, RFC 9700 section 4.4). A redirect_url of its own replaces
// either.
func (f *file) redirects(tables []*table, providers map[string]*Provider, web *Web) {
	var browser []*table
	for _, t := range tables {
		if providers[t.name()].Flow == "authorization_code" {
			browser = append(browser, t)
		}
	}
	for _, t := range browser {
		p, path := providers[t.name()], "/callback"
		if len(browser) > 1 {
			path += "/" + url.PathEscape(p.Name)
		}
		switch {
		case t.has("redirect_url") || web == nil || web.PublicURL == "":
		case p.Name == "." || p.Name == "..":
			f.fault(t.place.at(), "%s: the name cannot be part of a redirect URL: set redirect_url, or use another name", t.header())
		default:
			p.RedirectURL = web.PublicURL + path
		}
	}
	f.checkRedirects(browser, providers)
}

// checkRedirects refuses two providers that share a host name and a path of
// their redirect URLs: each could send the browser to the other and be handed
// the code that the other gives. Where both are known to name themselves in
// each response (RFC 9207), that is prevented by comparing.
func (f *file) checkRedirects(browser []*table, providers map[string]*Provider) {
	for i, t := range browser {
		p := providers[t.name()]
		for _, other := range browser[:i] {
			q := providers[other.name()]
			if p.namesItself() && q.namesItself() || !sameRedirect(p.RedirectURL, q.RedirectURL) {
				continue
			}
			f.fault(cmp.Or(t.line("redirect_url"), t.place.at()), "%s and %s have the same redirect URL, %s, so that each of them could get the codes of the other: "+
				"give one of them another redirect_url, such as one that ends in /callback/%s, and register it; or set issuer and require_iss = true in both",
				other.header(), t.header(), p.RedirectURL, url.PathEscape(p.Name))
			break
		}
	}
}

// namesItself reports whether a response of p is taken only with p's own issuer.
func (p *Provider) namesItself() bool { return p.Issuer != "" && p.RequireIss }

// sameRedirect reports whether a response to a cannot be told from one to b. A
// browser's cookies are for a host name, whatever the port.
func sameRedirect(a, b string) bool {
	u, errA := url.Parse(a)
	v, errB := url.Parse(b)
	return a != "" && b != "" && errA == nil && errB == nil &&
		strings.EqualFold(u.Hostname(), v.Hostname()) &&
		strings.TrimSuffix(u.EscapedPath(), "/") == strings.TrimSuffix(v.EscapedPath(), "/")
}

// redirectURL reads where browsers come back from the provider; "" is the
// default. Its path must not be that of a page.
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
	for _, taken := range pagePaths {
		if strings.HasPrefix(u.EscapedPath(), base+taken) {
			t.fault("redirect_url", "the path %s is that of another page; use for example %s/callback", u.Path, base)
		}
	}
	return s
}

// issuer reads what the provider calls itself in its responses, and whether it
// always does. What a preset knows of that is of its own authorization_url.
func (t *table) issuer(p *Provider) {
	if t.has("authorization_url") {
		p.Issuer = ""
	}
	p.Issuer = t.url("issuer", p.Issuer)
	p.RequireIss = t.boolean("require_iss", false)
	if p.RequireIss && p.Issuer == "" && !t.has("issuer") {
		t.fault("require_iss", "there is no issuer to compare iss with: set issuer to what the provider's metadata (/.well-known/oauth-authorization-server, or openid-configuration) calls issuer")
	}
}

// Registration returns the redirect URI to register at the provider. Where that
// is not RedirectURL, note says why, in a sentence.
func (p *Provider) Registration() (uri, note string) {
	u, err := url.Parse(p.RedirectURL)
	if err != nil || !p.isMicrosoft() || u.Scheme != "http" || !strings.EqualFold(u.Hostname(), "localhost") || u.Port() == "" {
		return p.RedirectURL, ""
	}
	u.Host = u.Hostname()
	return u.String(), "Microsoft ignores the port of localhost, so it is registered without one."
}

// isMicrosoft reports whether people sign in at Microsoft.
func (p *Provider) isMicrosoft() bool {
	u, err := url.Parse(p.AuthorizationURL)
	return err == nil && slices.Contains([]string{
		"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn",
	}, strings.ToLower(u.Hostname()))
}

// entraIssuer is what Entra calls itself for a tenant. Under a domain or one of
// the words for many tenants it names the tenant's id, which {tenantid} stands
// for, as in Microsoft's own metadata.
func entraIssuer(tenant string) string {
	id := "{tenantid}"
	switch {
	case tenant == "consumers":
		id = "9188040d-6c67-4c5b-b112-36a304b66dad" // of all personal accounts
	case tenantID.MatchString(tenant):
		id = strings.ToLower(tenant)
	}
	return "https://login.microsoftonline.com/" + id + "/v2.0"
}
