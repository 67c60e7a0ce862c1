package wire

import (
	"strings"

	"github.com/xoauthd/xoauthd/internal/redact"
)

// SetSecrets sets the shared secrets that Redact hides. Secrets added to the set
// later are hidden too.
func (c *Conn) SetSecrets(secrets *redact.Secrets) { c.secrets = secrets }

// AddSecret adds a secret that Redact hides on this connection only.
func (c *Conn) AddSecret(secret string) {
	if c.ownSecrets == nil {
		c.ownSecrets = new(redact.Secrets)
	}
	c.ownSecrets.Add(secret)
}

// maxRedactTail is the number of octets of earlier text that Redact keeps, so that
// it finds a secret that the peer splits over several lines, even if each octet is
// escaped.
const maxRedactTail = 128

// Redact returns text of the peer without secrets. A dialogue calls it once for
// every text of a server, in order and without protocol codes, before it uses the
// text for anything but the protocol. It must not parse redacted text: a password
// may equal a protocol keyword.
func (c *Conn) Redact(text string) string {
	before := c.redactTail + "\n"
	all := before + text
	c.redactTail = all[max(0, len(all)-maxRedactTail):]
	for _, secrets := range []*redact.Secrets{c.secrets, c.ownSecrets} {
		if secrets != nil {
			all = secrets.Redact(all)
		}
	}
	return strings.SplitN(all, "\n", strings.Count(before, "\n")+1)[strings.Count(before, "\n")]
}
