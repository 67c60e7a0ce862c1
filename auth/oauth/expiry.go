package oauth

import (
	"fmt"
	"time"

	"github.com/xoauthd/xoauthd/internal/expiry"
	"github.com/xoauthd/xoauthd/internal/text"
)

// Expiring says when the client secret or certificate expires: "expires on 1 March 2027, in
// 12 days". It is empty if that is not known. soon is true within expiry.Notice and after
// that.
func (p *Provider) Expiring(now time.Time) (when string, soon bool) {
	at := p.CredentialExpiry
	if at.IsZero() {
		return "", false
	}
	when = text.Since(at, now)
	if !now.Before(at) {
		return "expired " + when, true
	}
	return fmt.Sprintf("expires on %s, %s", at.Local().Format("2 January 2006"), when), expiry.Soon(at, now)
}
