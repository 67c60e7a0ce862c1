package doctor

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/text"
)

// claims are the claims of a token, with the names of RFC 9068 and of Entra.
type claims struct {
	jwt.Claims
	Tenant            string   `json:"tid"`
	AppID             string   `json:"appid"`
	AuthorizedParty   string   `json:"azp"`
	Roles             []string `json:"roles"`
	Scopes            string   `json:"scp"`
	UPN               string   `json:"upn"`
	PreferredUsername string   `json:"preferred_username"`
}

// skew is the tolerated difference of clocks.
const skew = 5 * time.Minute

// claims reads the token if it is a JWT. The provider could be asked about other tokens,
// but a token goes to the mail server only.
func (x *examination) claims(ctx context.Context, token string) {
	x.step(ctx, "claims of the token", lookupTime, func(_ context.Context, s *step.Step) error {
		// No signature is verified: only the mail server knows the key.
		parsed, err := jwt.ParseSigned(token, oauth.SignatureAlgorithms())
		if err != nil {
			s.Detail = "opaque: only the provider can read it"
			return nil
		}
		var c claims
		if err := parsed.UnsafeClaimsWithoutVerification(&c); err != nil {
			s.Detail = "opaque: a JWT with unknown claims"
			return nil
		}
		c.describe(s)
		c.checkTime(s)
		if c.ofEntra() {
			x.checkEntra(s, &c)
		}
		return nil
	})
}

func (c *claims) describe(s *step.Step) {
	s.AddFact("aud", []string(c.Audience))
	s.AddFact("iss", c.Issuer)
	s.AddFact("tid", c.Tenant)
	s.AddFact("appid", c.AppID)
	s.AddFact("azp", c.AuthorizedParty)
	s.AddFact("roles", c.Roles)
	s.AddFact("scp", strings.Fields(c.Scopes))
	s.AddFact("upn", c.UPN)
	s.AddFact("preferred_username", c.PreferredUsername)
	if c.IssuedAt != nil {
		s.AddFact("iat", c.IssuedAt.Time())
	}
	if c.Expiry != nil {
		s.AddFact("exp", c.Expiry.Time())
	}
	part := func(name, value string) {
		if value != "" {
			s.Detail = step.Join(s.Detail, ", ", name+" "+value)
		}
	}
	part("for", strings.Join(c.Audience, " "))
	part("by", c.Issuer)
	part("of", c.user())
	part("scopes", c.Scopes)
	part("roles", strings.Join(c.Roles, " "))
}

// user returns the user name of the token, or "" for an app-only token.
func (c *claims) user() string {
	if c.UPN != "" {
		return c.UPN
	}
	return c.PreferredUsername
}

func (c *claims) checkTime(s *step.Step) {
	const clock = "Check the clock of this machine."
	now := time.Now().Round(0)
	if c.Expiry != nil && now.After(c.Expiry.Time()) {
		s.AddFinding(step.Failed, "the token expired "+text.Span(now.Sub(c.Expiry.Time()))+" ago", clock)
	}
	if c.IssuedAt != nil && c.IssuedAt.Time().After(now.Add(skew)) {
		s.AddFinding(step.Warning, "the token was issued "+text.Span(c.IssuedAt.Time().Sub(now))+" from now", clock)
	}
}

// ofEntra reports whether Microsoft issued the token: others put other things
// into these claims.
func (c *claims) ofEntra() bool {
	u, err := url.Parse(c.Issuer)
	return err == nil && c.Tenant != "" && slices.Contains([]string{
		"sts.windows.net", "login.microsoftonline.com", "login.microsoftonline.us",
		"sts.chinacloudapi.cn", "login.partner.microsoftonline.cn", "login.chinacloudapi.cn",
	}, u.Hostname())
}

// exchange are the names by which Exchange Online, in each of Microsoft's
// clouds, is the audience of a token: the last is its application id.
var exchange = []string{
	"outlook.office.com", "outlook.office365.com", "ps.outlook.com", "outlook.office365.us",
	"outlook-dod.office365.us", "partner.outlook.cn", "00000002-0000-0ff1-ce00-000000000000",
}

// A permission is what Exchange Online wants of a token for a protocol: in scp
// of a person's, in roles of an application's own.
type permission struct{ delegated, application string }

var permissions = map[string]permission{
	"imap": {"IMAP.AccessAsUser.All", "IMAP.AccessAsApp"},
	"pop3": {"POP.AccessAsUser.All", "POP.AccessAsApp"},
	"smtp": {"SMTP.Send", "SMTP.SendAsApp"},
}

// checkEntra checks what Exchange Online refuses a token for, without saying so.
func (x *examination) checkEntra(s *step.Step, c *claims) {
	if len(x.Upstreams) > 0 && len(c.Audience) > 0 && !slices.ContainsFunc(c.Audience, func(aud string) bool {
		u, err := url.Parse(aud)
		return err == nil && slices.Contains(exchange, strings.ToLower(u.Hostname()+u.Opaque)) ||
			slices.Contains(exchange, strings.ToLower(aud))
	}) {
		s.AddFinding(step.Failed, "the token is for "+strings.Join(c.Audience, " ")+", not for the mail servers",
			"The scopes are of the wrong resource: let all of them begin with https://outlook.office.com/ (app-only: https://outlook.office365.com/.default), and authorize again.")
	}
	if tenant := tenantOf(x.Provider.TokenURL); tenant != "" && !strings.EqualFold(tenant, c.Tenant) {
		s.AddFinding(step.Warning, "the tenant of the token is "+c.Tenant+", but "+tenant+" is configured",
			"Check the tenant in the section of provider "+x.Provider.Name+".")
	}
	for _, u := range x.Upstreams {
		x.checkPermission(s, c, u.Protocol)
	}
	for i, u := range x.Upstreams {
		said := slices.ContainsFunc(x.Upstreams[:i], func(earlier Upstream) bool { return earlier.User == u.User })
		if user := c.user(); user != "" && !said && !strings.EqualFold(user, u.User) {
			s.AddFinding(step.Warning, "the token is of "+user+", and logs in as "+u.User,
				"That is correct if the first may use the mailbox of the second. Otherwise authorize again, signed in as "+u.User+".")
		}
	}
}

func (x *examination) checkPermission(s *step.Step, c *claims, protocol string) {
	p, known := permissions[protocol]
	has := func(all []string, name string) bool {
		return slices.ContainsFunc(all, func(a string) bool { return strings.EqualFold(a, name) })
	}
	switch {
	case !known:
	case c.Scopes != "" && !has(strings.Fields(c.Scopes), p.delegated):
		scope := "https://outlook.office.com/" + p.delegated
		remedy := "Add " + scope + " to the scopes of provider " + x.Provider.Name + " and authorize again."
		if has(x.Provider.Scopes, scope) {
			remedy = "Authorize again: the last authorization did not request or not grant it."
		}
		s.AddFinding(step.Failed, fmt.Sprintf("scp has no %s, which %s needs", p.delegated, strings.ToUpper(protocol)), remedy)
	case c.Scopes == "" && !has(c.Roles, p.application):
		s.AddFinding(step.Failed, fmt.Sprintf("roles has no %s, which %s needs", p.application, strings.ToUpper(protocol)),
			"In Microsoft Entra, give the app the application permission "+p.application+" of Office 365 Exchange Online, with the consent of an administrator.")
	}
}

var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// tenantOf returns the id of the tenant in a token endpoint of Entra, or "" if the URL has
// "common" or a domain.
func tenantOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if !guid.MatchString(first) {
		return ""
	}
	return first
}
