package oauth

import (
	"fmt"
	"time"
)

// expirySoon is how long before its expiry a secret or certificate causes a warning.
const expirySoon = 30 * 24 * time.Hour

// Expiring says when the client secret or certificate expires: "expires on 1 March 2027, in
// 12 days". It is empty if that is not known. soon is true within 30 days and after that.
func (p *Provider) Expiring(now time.Time) (text string, soon bool) {
	at := p.CredentialExpiry
	if at.IsZero() {
		return "", false
	}
	left := at.Sub(now.Round(0))
	if left <= 0 {
		return "expired " + days(-left) + " ago", true
	}
	return fmt.Sprintf("expires on %s, in %s", at.Local().Format("2 January 2006"), days(left)), left <= expirySoon
}

func days(d time.Duration) string {
	switch n := int(d / (24 * time.Hour)); n {
	case 0:
		return "less than a day"
	case 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}
