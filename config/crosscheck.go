package config

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// crossCheck reports faults and warnings that concern several tables.
func (f *file) crossCheck(c *Config) {
	f.checkTables(c)
	f.checkBindings()
	f.checkLocalhost(c)
	f.checkAccountNames()
	f.checkUsers(c.Accounts)
	f.checkCertificates(c)
	for _, l := range c.Listeners {
		if l.Devices != nil {
			f.checkDevices(l, c)
			continue
		}
		f.checkListener(l, c.Providers)
	}
	seen := map[string]bool{} // names of accounts and of patterns
	for _, a := range byLine(c.Accounts) {
		name := cmp.Or(a.Pattern, a.Name)
		if !seen[name] {
			f.checkAccount(a, name, c)
		}
		seen[name] = true
	}
}

func (f *file) checkTables(c *Config) {
	if len(c.Listeners) == 0 {
		f.fault(0, `no listener: clients cannot connect; add a table [[listener]] with protocol = "imap" and address = "localhost:1143"`)
	}
	if len(c.Providers) == 0 && len(f.accounts) == 0 {
		f.fault(0, `no provider: add a table [provider.google] with preset = "google" and a client_id`)
	}
	if len(f.accounts) == 0 {
		f.fault(0, `no account: clients cannot log in; add a table [account."alice@example.com"] with its provider and a password_hash from "xoauthd hash-password"`)
	}
	// Without [web], "xoauthd authorize" authorizes an account in a terminal, but the
	// provider still needs a URL to redirect the browser to.
	cannotAuthorize := func(a *Account) bool {
		p := c.Providers[a.Provider]
		return p != nil && p.Flow == flow.AuthorizationCode && p.RedirectURL == ""
	}
	if c.Web == nil && slices.ContainsFunc(byLine(c.Accounts), cannotAuthorize) {
		f.warn(0, `neither [web] nor redirect_url is set: accounts cannot be authorized; add [web] with address = "localhost:1180"`)
	}
}

func (f *file) checkBindings() {
	slices.SortFunc(f.bindings, func(a, b binding) int { return cmp.Compare(a.line, b.line) })
	for i, b := range f.bindings {
		first := slices.IndexFunc(f.bindings[:i], b.clashes)
		if first >= 0 {
			f.fault(b.line, "%s is already used in line %d", b.name(), f.bindings[first].line)
		}
	}
}

// checkLocalhost reports a fault if a URL sends browsers to localhost at the port of
// [web], but [web] listens on another loopback address. Another local user could then
// listen on 127.0.0.1 and ::1.
func (f *file) checkLocalhost(c *Config) {
	if c.Web == nil || c.Web.Address == "" {
		return
	}
	i := slices.IndexFunc(f.bindings, func(b binding) bool { return b.address == c.Web.Address })
	b := f.bindings[i]
	if b.socket != "" || b.host == "localhost" {
		return
	}
	urls := []string{c.Web.PublicURL}
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		urls = append(urls, c.Providers[name].RedirectURL)
	}
	for _, s := range urls {
		u, err := url.Parse(s)
		if err == nil && u.Scheme == "http" && strings.EqualFold(u.Hostname(), "localhost") && cmp.Or(u.Port(), "80") == strconv.Itoa(int(b.port)) {
			f.fault(b.line, `address: browsers open %s, but localhost is 127.0.0.1 and [::1], not %s; write address = "localhost:%d"`, s, b.host, b.port)
			return
		}
	}
}

func (f *file) checkAccountNames() {
	first := map[string]*table{}
	for _, a := range f.accounts {
		lower := strings.ToLower(a.name())
		if other := first[lower]; other != nil {
			f.fault(a.pos.line(), "%s differs from the account in line %d only in upper and lower case, but user names are not case-sensitive",
				a.header(), other.pos.line())
			continue
		}
		first[lower] = a
	}
}

func (f *file) checkCertificates(c *Config) {
	withTLS := func(l Listener) bool { return l.TLS != TLSNone }
	if len(c.Certificates) > 0 && len(c.Listeners) > 0 && !slices.ContainsFunc(c.Listeners, withTLS) {
		f.warn(c.Certificates[0].Line, `[[certificate]] is not used: no listener uses TLS`)
	}
}

func (f *file) checkListener(l Listener, providers map[string]*Provider) {
	served := providers
	if l.Provider != "" {
		served = map[string]*Provider{l.Provider: providers[l.Provider]}
	}
	if l.Protocol == "" || len(served) == 0 {
		return // already reported
	}
	for _, p := range served {
		if p.Upstream(l.Protocol) != nil {
			return
		}
	}
	f.fault(l.Line, `[[listener]]: no provider that it serves has a server for %s; add %[1]s = { host = "%[1]s.example.com" } to [%s]`,
		l.Protocol, toml.Key{"provider", slices.Min(slices.Collect(maps.Keys(served)))})
}

func (f *file) checkAccount(a *Account, name string, c *Config) {
	p := c.Providers[a.Provider]
	if p == nil || !a.Enabled || len(c.Listeners) == 0 {
		return
	}
	listens := map[string]bool{} // by protocol
	for _, l := range c.Listeners {
		if l.Devices == nil && (l.Provider == "" || l.Provider == a.Provider) {
			listens[l.Protocol] = true
		}
	}
	if !f.isDeviceAccount(a.Name) && !slices.ContainsFunc(Protocols(), func(protocol string) bool { return listens[protocol] && p.Upstream(protocol) != nil }) {
		f.warn(a.Line, "[%s]: no listener serves its provider %q", toml.Key{"account", name}, a.Provider)
		return
	}
	f.checkLogins(a, p, listens)
}

// byLine returns the accounts sorted by line, then by name.
func byLine(accounts map[string]*Account) []*Account {
	sorted := make([]*Account, 0, len(accounts))
	for _, a := range accounts {
		sorted = append(sorted, a)
	}
	slices.SortFunc(sorted, func(a, b *Account) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Name, b.Name))
	})
	return sorted
}
