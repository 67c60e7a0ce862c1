package config

import (
	"cmp"
	"crypto/x509"
	"maps"
	"regexp"
	"slices"

	"github.com/xoauthd/xoauthd/internal/flow"
)

func (t *table) providers(web *Web) map[string]*Provider {
	providers := map[string]*Provider{}
	tables := t.tables("provider")
	for _, p := range tables {
		providers[p.name()] = p.provider(web)
		p.reportUnknown()
	}
	t.file.redirects(tables, providers, web)
	return providers
}

func (t *table) provider(web *Web) *Provider {
	p := t.preset()
	p.Name = t.name()
	t.client(p)
	p.ServiceAccount = t.serviceAccount()
	p.TokenCommand, p.TokenCommandTimeout = t.tokenCommand()

	p.AuthorizationURL = t.url("authorization_url", p.AuthorizationURL)
	p.DeviceAuthorizationURL = t.url("device_authorization_url", p.DeviceAuthorizationURL)
	p.TokenURL = t.tokenURL(p.TokenURL, p.ServiceAccount)
	p.RevocationURL = t.url("revocation_url", p.RevocationURL)
	p.Revocation = oneOf(t, "revocation", "all", "all", "grant")
	p.RedirectURL = t.redirectURL(web)
	t.issuer(p)
	p.Scopes = t.texts("scopes", p.Scopes)
	if !t.has("scopes") {
		t.file.presetScopes = append(t.file.presetScopes, p)
	}
	p.AuthorizationParams = t.params(p.AuthorizationParams)
	p.Mechanism = t.mechanism(p.Flow)
	p.Proxy = t.proxy()
	p.CAFile, p.RootCAs = t.rootCAs()
	p.IMAP = t.upstream("imap", p.IMAP)
	p.SMTP = t.upstream("smtp", p.SMTP)
	p.POP3 = t.upstream("pop3", p.POP3)
	if p.SMTPAPI = t.sendAPI(p); p.SMTPAPI != nil {
		p.SMTP = p.SMTPAPI.upstream()
	}
	p.MessagesPerMinute = t.integer("messages_per_minute", p.MessagesPerMinute, 0, 100_000)
	return p
}

// preset returns a provider with the settings of its preset and its flow. If either is
// unknown, the provider has no flow, and faults about missing keys are omitted.
func (t *table) preset() *Provider {
	name := t.text("preset", "")
	known := slices.Contains(Presets(), name) || !t.has("preset")
	if !known && name != "" {
		t.fault("preset", "unknown preset %q; the presets are %s", name, enumerate(Presets()))
	}
	f := t.flow(name)
	if f != nil && known {
		t.checkKeys(f)
	}
	tenant := t.text("tenant", "")
	if f == nil || !known {
		return &Provider{IMAP: &Upstream{}, SMTP: &Upstream{}, POP3: &Upstream{}}
	}
	t.checkTenant(tenant, name, f)
	p := preset(name, cmp.Or(tenant, "organizations"), f)
	p.Flow = f.flow
	return p
}

// checkKeys reports the provider's keys that the flow does not use, and the missing keys
// that it requires.
func (t *table) checkKeys(f *flowKeys) {
	suffix := ""
	if !t.has("flow") {
		suffix = ", which is the default"
	}
	if t.rejectUnusedKeys(f, suffix) && suffix != "" {
		return // the keys suggest that another flow is intended
	}
	t.requireKeys(f, f.required, "")
	if !t.has("preset") && !t.has("smtp_api") && !slices.ContainsFunc(Protocols(), t.has) {
		t.file.fault(t.pos.line(), `%s has no imap, smtp or pop3: write for example imap = { host = "imap.example.com" }`, t.header())
	}
}

func (t *table) checkTenant(tenant, preset string, f *flowKeys) {
	appOnly := preset == "microsoft" && f.flow == flow.ClientCredentials
	switch {
	case tenant != "" && preset != "microsoft":
		t.fault("tenant", `only the preset "microsoft" has tenants`)
	case !tenantName.MatchString(tenant):
		t.fault("tenant", `%q is neither a tenant's id nor a domain, nor "organizations" or "common"`, tenant)
	case appOnly && !t.has("tenant") && !t.has("token_url"):
		t.file.fault(t.pos.line(), "%s has no tenant, which the flow %q requires: write the id or a domain of the tenant", t.header(), f.flow)
	case appOnly && slices.Contains([]string{"organizations", "common", "consumers"}, tenant):
		t.fault("tenant", "%q is not one tenant, which the flow %q requires: write the id or a domain of the tenant", tenant, f.flow)
	}
}

// tenantID matches the id of a tenant, a GUID.
var tenantID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

var tenantName = regexp.MustCompile(`^[0-9A-Za-z.-]*$`)

// tokenURL reads the token endpoint. The key file of a service account may also contain
// it.
func (t *table) tokenURL(preset string, account *ServiceAccount) string {
	s := t.url("token_url", preset)
	if account == nil || s != "" || t.has("token_url") {
		return s
	}
	if account.TokenURL == "" {
		t.file.fault(t.pos.line(), "%s has no token_url, and its key file has no token_uri; for Google, it is https://oauth2.googleapis.com/token", t.header())
	}
	return account.TokenURL
}

// mechanism reads the SASL mechanism for the upstream.
func (t *table) mechanism(f flow.Flow) string {
	s, ok := value[string](t, "mechanism")
	words, what := []string{"auto", "xoauth2", "oauthbearer"}, "an access token"
	if f == flow.AppPassword {
		words, what = []string{"auto", "plain", "login"}, "a password"
	}
	if ok && f != "" && !slices.Contains(words, s) {
		t.fault("mechanism", "%q is not one of %s; the flow %q logs in with %s", s, enumerate(words), f, what)
	}
	return cmp.Or(s, "auto")
}

// params reads authorization_params, which override those of the preset. An empty value
// removes a parameter of the preset.
func (t *table) params(preset map[string]string) map[string]string {
	sub, _ := t.table("authorization_params")
	params := map[string]string{}
	maps.Copy(params, preset)
	for _, key := range slices.Sorted(maps.Keys(sub.values)) {
		v, ok := value[string](sub, key)
		if slices.Contains(reservedParams, key) {
			sub.fault(key, "xoauthd sets this parameter itself; remove it")
		}
		if ok && v == "" {
			delete(params, key)
		} else if ok {
			params[key] = v
		}
	}
	return params
}

// reservedParams are the parameters that xoauthd sets in an authorization request (RFC
// 6749 section 4.1.1, RFC 7636 section 4.3).
var reservedParams = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state",
	"code_challenge", "code_challenge_method",
}

// rootCAs reads the certificates to trust in addition to those of the system.
func (t *table) rootCAs() (string, *x509.CertPool) {
	path := t.filePath("ca_file")
	if path == "" {
		return "", nil
	}
	pem, err := t.file.readFile(path, notSecret)
	if err != nil {
		t.externalFault("ca_file", "%v", err)
		return "", nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		t.externalFault("ca_file", "the system's certificates: %v", err)
		return "", nil
	}
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		t.externalFault("ca_file", "%s: %v", path, errNotPEM(pem, "certificate"))
	}
	return path, pool
}

// ports are the ports of RFC 8314 section 3 and of STARTTLS, by protocol and TLS mode.
var ports = map[string]map[TLSMode]int{
	"imap": {TLSImplicit: 993, TLSStartTLS: 143},
	"smtp": {TLSImplicit: 465, TLSStartTLS: 587},
	"pop3": {TLSImplicit: 995, TLSStartTLS: 110},
}

// upstream reads the upstream server for protocol. preset is nil if the preset has none.
func (t *table) upstream(protocol string, preset *Upstream) *Upstream {
	sub, found := t.table(protocol)
	if preset == nil {
		if !t.has(protocol) {
			return nil
		}
		if found {
			sub.require("host", `write for example host = "`+protocol+`.example.com"`)
		}
		preset = &Upstream{TLS: TLSImplicit}
	}
	defer sub.reportUnknown()
	u := &Upstream{
		Host: sub.host("host", preset.Host),
		TLS:  oneOf(sub, "tls", preset.TLS, TLSImplicit, TLSStartTLS),

		Sessions: sub.integer("sessions", preset.Sessions, 0, 100_000),
	}
	u.Port = sub.integer("port", ports[protocol][u.TLS], 1, 65535)
	for mode, port := range ports[protocol] {
		if u.Port == port && u.TLS != mode && u.TLS != "" && !sub.has("tls") {
			sub.fault("port", "%d is the usual port of %q, but tls defaults to %q; set tls", port, mode, u.TLS)
		}
	}
	return u
}
