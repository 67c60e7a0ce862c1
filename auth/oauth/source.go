package oauth

import (
	"net/url"
	"strings"
)

// Source returns the Source of grants that p issues for f. It does not include the path of the
// token endpoint: the tenant may have several names.
func (p *Provider) Source(f Flow) string {
	source := p.tokenHost() + " " + p.OAuth.ClientID
	if flow := f.source(); flow != "" {
		source += " " + flow
	}
	return source
}

// SameClient reports whether p and q are the same registration at a provider.
func (p *Provider) SameClient(q *Provider) bool {
	return p.OAuth.ClientID == q.OAuth.ClientID && p.tokenHost() == q.tokenHost()
}

func (p *Provider) tokenHost() string {
	u, err := url.Parse(p.OAuth.Endpoint.TokenURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}
