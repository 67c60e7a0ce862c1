package auth

import (
	"fmt"
	"time"
)

// expirySoon is how long before its end a secret or certificate is spoken of: a
// month in which somebody is at work who can make another.
const expirySoon = 30 * 24 * time.Hour

// Expiring tells when the client's secret or certificate expires, as the rest of
// a sentence: "expires on 1 March 2027, in 12 days". It is empty if that is not
// known; soon, if it is within 30 days or has been.
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
