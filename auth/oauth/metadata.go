package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// metadataTime is how long a request for metadata may take: a person waits.
	metadataTime = 5 * time.Second

	// metadataPause is how long after a failure metadata are asked for again.
	metadataPause = 10 * time.Minute
)

// metadata are what a Provider has learned from its server's metadata. The zero value
// is ready to use.
type metadata struct {
	mu       sync.Mutex // also held during the requests, so that they are made once
	known    bool
	sendsIss bool
	failed   time.Time // when the metadata could last not be had
}

// SendsIss reports whether the server's metadata say that each of its authorization
// responses has an iss (RFC 9207 section 3). The metadata are read once. While they
// cannot be read, or are those of another issuer, SendsIss returns false.
func (p *Provider) SendsIss(ctx context.Context) bool {
	p.metadata.mu.Lock()
	defer p.metadata.mu.Unlock()
	m := &p.metadata
	if m.known || time.Since(m.failed) < metadataPause {
		return m.sendsIss
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	for _, address := range metadataURLs(p.Issuer) {
		if m.sendsIss, m.known = p.readMetadata(ctx, address); m.known {
			return m.sendsIss
		}
	}
	m.failed = time.Now()
	return false
}

// metadataURLs returns where a server with that issuer has its metadata: OpenID Connect
// Discovery 1.0 section 4 and RFC 8414 section 3. An issuer with a placeholder, such as
// {tenantid}, has none.
func metadataURLs(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || strings.Contains(issuer, "{") {
		return nil
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return []string{
		origin + path + "/.well-known/openid-configuration",
		origin + "/.well-known/oauth-authorization-server" + path,
	}
}

// readMetadata returns what the metadata at an address say of iss. They count only if
// they name the issuer (RFC 8414 section 3.3).
func (p *Provider) readMetadata(ctx context.Context, address string) (sendsIss, ok bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, false
	}
	req.Header.Set("Accept", "application/json")
	resp, err := p.client().Do(req)
	if err != nil {
		return false, false
	}
	body, err := readBody(resp)
	var document struct {
		Issuer   string `json:"issuer"`
		SendsIss bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err != nil || json.Unmarshal(body, &document) != nil || resp.StatusCode != http.StatusOK || document.Issuer != p.Issuer {
		return false, false
	}
	return document.SendsIss, true
}
