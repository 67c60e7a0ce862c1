// Package expiry says when xoauthd warns that a secret or certificate expires. It imports
// nothing of this module, so every package may import it.
package expiry

import (
	"crypto/x509"
	"time"
)

// Notice is how long before its expiry a secret causes a warning. It is a month, because
// another person may have to issue the replacement.
const Notice = 30 * 24 * time.Hour

// Soon reports whether end is at most Notice after now. A zero end means no expiry.
func Soon(end, now time.Time) bool {
	return !end.IsZero() && end.Sub(now.Round(0)) <= Notice // the monotonic clock stops during suspend
}

// CertificateSoon is Soon for a certificate of a server. If a fifth of its life is shorter
// than Notice, that counts instead: such a certificate is renewed automatically.
func CertificateSoon(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now.Round(0)) <= min(Notice, c.NotAfter.Sub(c.NotBefore)/5)
}
