package oauth

import (
	"github.com/xoauthd/xoauthd/internal/redact"
)

// secrets are hidden in what the provider sends.
func (p *Provider) secrets() *redact.Secrets {
	if p.Secrets != nil {
		return p.Secrets
	}
	return &p.own
}

// Redact returns text of the provider without secrets.
func (p *Provider) Redact(text string) string { return p.secrets().Redact(text) }

// AddSecrets hides secrets, such as tokens, in what the provider sends. Only the last ones
// are remembered; see redact.Secrets.
func (p *Provider) AddSecrets(secrets ...string) { p.secrets().Add(secrets...) }

// KeepSecrets is AddSecrets for configured secrets, which are never forgotten.
func (p *Provider) KeepSecrets(secrets ...string) { p.secrets().Keep(secrets...) }
