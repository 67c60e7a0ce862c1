package wire

import (
	"strings"

	"github.com/xoauthd/xoauthd/internal/redact"
)

// Redacts makes Redact hide these secrets, which may become more later.
func (c *Conn) Redacts(secrets *redact.Secrets) { c.secrets = secrets }

// AddSecret makes Redact hide one more secret, on this connection alone.
func (c *Conn) AddSecret(secret string) {
	if c.own == nil {
		c.own = new(redact.Secrets)
	}
	c.own.Add(secret)
}

// saidBefore is how much is kept of what the peer said before, in octets: a secret
// that is split over lines is then found by fewer of its octets than count alone,
// even if each of them is escaped.
const saidBefore = 128

// Redact returns text, which the peer sent, without secrets. A dialogue redacts
// every text of a server once, in order and without the codes of the protocol,
// before it uses it for anything but the protocol itself. What the protocol goes by
// is not redacted: a password may be a word of it.
func (c *Conn) Redact(text string) string {
	before := c.said + "\n"
	all := before + text
	c.said = all[max(0, len(all)-saidBefore):]
	for _, secrets := range []*redact.Secrets{c.secrets, c.own} {
		if secrets != nil {
			all = secrets.Redact(all)
		}
	}
	return strings.SplitN(all, "\n", strings.Count(before, "\n")+1)[strings.Count(before, "\n")]
}
