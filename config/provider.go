package config

import (
	"cmp"
	"crypto/x509"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

func (t *table) providers(web *Web) map[string]*Provider {
	providers := map[string]*Provider{}
	for _, p := range t.tables("provider") {
		providers[p.name()] = p.provider(web)
		p.done()
	}
	return providers
}

func (t *table) provider(web *Web) *Provider {
	p := t.preset()
	p.Name = t.name()
	p.ClientID = t.text("client_id", "")
	p.ClientSecret = t.clientSecret()
	p.AuthorizationURL = t.url("authorization_url", p.AuthorizationURL)
	p.TokenURL = t.url("token_url", p.TokenURL)
	p.RevocationURL = t.url("revocation_url", p.RevocationURL)
	if web != nil {
		p.RedirectURL = web.PublicURL + "/callback"
	}
	p.RedirectURL = t.redirectURL(p.RedirectURL)
	p.Issuer = t.url("issuer", p.Issuer)
	p.Scopes = t.texts("scopes", p.Scopes)
	p.AuthorizationParams = t.params(p.AuthorizationParams)
	p.AuthStyle = t.oneOf("auth_style", "params", "params", "header")
	p.Mechanism = t.oneOf("mechanism", "auto", "auto", "xoauth2", "oauthbearer")
	p.CAFile, p.RootCAs = t.roots()
	p.IMAP = t.upstream("imap", p.IMAP)
	p.SMTP = t.upstream("smtp", p.SMTP)
	t.complete()
	return p
}

// preset returns a provider in which all is set that the preset knows.
func (t *table) preset() *Provider {
	name := t.text("preset", "")
	tenant := t.text("tenant", "")
	if tenant != "" && name != "microsoft" {
		t.fault("tenant", `only the preset "microsoft" has tenants`)
	}
	if !tenantName.MatchString(tenant) {
		t.fault("tenant", `%q is neither a tenant's id nor a domain, nor "organizations" or "common"`, tenant)
	}
	p := preset(name, cmp.Or(tenant, "organizations"))
	if p == nil {
		t.fault("preset", "there is no preset %q; the presets are %s", name, enumerate(Presets()))
		p = &Provider{}
	}
	return p
}

var tenantName = regexp.MustCompile(`^[0-9A-Za-z.-]*$`)

// complete tells what is missing that no preset gives.
func (t *table) complete() {
	t.require("client_id", "the provider gives one when xoauthd is registered there as an application")
	if t.has("preset") {
		return
	}
	const why = "without a preset it must be given"
	t.require("authorization_url", why)
	t.require("token_url", why)
	t.require("scopes", why)
	if !t.has("imap") && !t.has("smtp") {
		t.file.fault(t.place.at(), `%s has neither imap nor smtp: write for example imap = { host = "imap.example.com" }`, t.header())
	}
}

// params reads authorization_params. They are added to the preset's; an empty
// one takes the preset's away.
func (t *table) params(preset map[string]string) map[string]string {
	sub, _ := t.table("authorization_params")
	params := map[string]string{}
	maps.Copy(params, preset)
	for _, key := range slices.Sorted(maps.Keys(sub.values)) {
		v, ok := value[string](sub, key)
		if slices.Contains(ownParams, key) {
			sub.fault(key, "xoauthd sets this itself")
		}
		if ok && v == "" {
			delete(params, key)
		} else if ok {
			params[key] = v
		}
	}
	return params
}

// ownParams are what RFC 6749 section 4.1.1 and RFC 7636 section 4.3 make of
// an authorization request.
var ownParams = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state",
	"code_challenge", "code_challenge_method",
}

// roots reads the certificates to be trusted beside the system's.
func (t *table) roots() (string, *x509.CertPool) {
	path := t.text("ca_file", "")
	if path == "" {
		return "", nil
	}
	path = t.file.path(path)
	pem, err := os.ReadFile(path)
	if err != nil {
		t.fault("ca_file", "%v", reason(path, err))
		return "", nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		t.fault("ca_file", "the system's certificates: %v", err)
		return "", nil
	}
	if !pool.AppendCertsFromPEM(pem) {
		t.fault("ca_file", "%s: there is no certificate in PEM format in it", path)
	}
	return path, pool
}

// The ports of RFC 8314 sections 3.2 and 3.3, and of the protocols before it.
var ports = map[string]map[string]int{
	"imap": {"implicit": 993, "starttls": 143},
	"smtp": {"implicit": 465, "starttls": 587},
}

// upstream reads the server for a protocol. The preset's is nil if it knows
// none.
func (t *table) upstream(protocol string, preset *Upstream) *Upstream {
	sub, given := t.table(protocol)
	if preset == nil {
		if !t.has(protocol) {
			return nil
		}
		if given {
			sub.require("host", `write for example host = "`+protocol+`.example.com"`)
		}
		preset = &Upstream{TLS: "implicit"}
	}
	defer sub.done()
	u := &Upstream{
		Host: sub.host("host", preset.Host),
		TLS:  sub.oneOf("tls", preset.TLS, "implicit", "starttls"),
	}
	u.Port = sub.integer("port", ports[protocol][u.TLS], 1, 65535)
	for mode, port := range ports[protocol] {
		if u.Port == port && u.TLS != mode && !sub.has("tls") {
			sub.fault("port", "%d is the usual port of %q, but tls is not given and thus %q; say which it is", port, mode, u.TLS)
		}
	}
	return u
}

// redirectURL reads where browsers come back from the provider. The pages that
// a person reads are elsewhere.
func (t *table) redirectURL(def string) string {
	s := t.pageURL("redirect_url", def)
	u, err := url.Parse(s)
	if s == def || err != nil {
		return s
	}
	for _, taken := range []string{"/authorize/", "/result/", "/style.css", "/icon.svg"} {
		if strings.HasPrefix(u.Path, taken) {
			t.fault("redirect_url", "the path %s is that of another page; use for example /callback", u.Path)
		}
	}
	return s
}
