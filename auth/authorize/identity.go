package authorize

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// signInAddress returns the address with which the person should sign in.
func signInAddress(a *Account) string { return cmp.Or(a.LoginHint, a.Name) }

// isOtherIdentity reports whether another person than the expected one signed in. It
// returns false if the provider did not report an identity.
func isOtherIdentity(g oauth.Grant, a *Account) bool {
	return g.Identity != "" && !strings.EqualFold(g.Identity, signInAddress(a))
}

// checkIdentity adds a step for the identity of the person. If g must not be kept although
// a login succeeded, it returns the lead of the result. Some mail servers ignore the user
// name of a login and open the mailbox of the token. Unless the provider's servers are
// known to check it, a requested id_token must name the expected person.
func (res *resultBuilder) checkIdentity(g oauth.Grant, opened, refused bool) (lead string) {
	a := res.account
	reg := a.Registration
	text, expected := "Signed in as "+g.Identity, signInAddress(a)
	switch {
	case isOtherIdentity(g, a) && opened && !reg.ChecksUser:
		res.addStep(text, 0, errors.New("expected "+expected),
			"If "+g.Identity+" may use this mailbox, set login_hint = \""+g.Identity+"\" for the account in the configuration, restart xoauthd and authorize again.")
		return "You signed in as " + g.Identity + ", but this account is " + a.Name + ". A mailbox opened, but it may be that of " + g.Identity + ", because some mail servers ignore the user name. Nothing was kept."
	case isOtherIdentity(g, a) && refused:
		res.addStep(text, 0, errors.New("expected "+expected), "")
	case isOtherIdentity(g, a):
		res.addStep(text, 0, nil, "")
	case g.Identity != "", !opened, reg.ChecksUser:
	case !g.IDToken && slices.Contains(reg.Scopes, "openid") && !res.imported:
		res.addStep("Identity of the user", 0, errors.New(a.Provider+" did not report it, although the scope openid requests it"),
			"Authorize again with the button on the account's page. If "+a.Provider+" never reports the identity, remove openid from the scopes in its section of the configuration.")
		return "A mailbox opened, but it may be another one than " + a.Name + ", because some mail servers ignore the user name. Nothing was kept."
	default:
		res.addStep("Identity of the user is unknown", 0, nil,
			"Only the mail server confirms that this is the mailbox "+a.Name+", and some mail servers ignore the user name. If "+a.Provider+" supports OpenID Connect, add openid and email to its scopes.")
	}
	return ""
}
