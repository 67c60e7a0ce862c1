package authorize

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/auth"
)

// signsIn is the address that a person should sign in with.
func signsIn(a Account) string { return cmp.Or(a.LoginHint(), a.Name()) }

// isAnother reports whether g is known to be from somebody else than who should
// sign in.
func isAnother(g auth.Grant, a Account) bool {
	return g.Identity != "" && !strings.EqualFold(g.Identity, signsIn(a))
}

// identify notes who has signed in, and returns why g must not be kept although a
// mailbox opened, if that is so. There are mail servers that open the mailbox of the
// token, whatever user name comes with it: where it is not known that the provider's
// do not, the id_token must agree, if one was asked for.
func (res *result) identify(g auth.Grant, opened, refused bool) (lead string) {
	a := res.account
	reg := a.Registration()
	text, person := "Signed in as "+g.Identity, signsIn(a)
	switch {
	case isAnother(g, a) && opened && !reg.ChecksUser:
		res.step(text, 0, errors.New("it should have been "+person),
			"If "+g.Identity+" may use this mailbox, set login_hint = \""+g.Identity+"\" for the account in the configuration, restart xoauthd and authorize again.")
		return "You signed in as " + g.Identity + ", and this account is " + a.Name() + ". A mailbox opened, but the mail server may have opened that of " + g.Identity + ": some do not look at the user name. Nothing was kept."
	case isAnother(g, a) && refused:
		res.step(text, 0, errors.New("it should have been "+person), "")
	case isAnother(g, a):
		res.step(text, 0, nil, "")
	case g.Identity != "", !opened, reg.ChecksUser:
	case !g.IDToken && slices.Contains(reg.Scopes, "openid") && !res.brought:
		res.step("Who signed in", 0, errors.New(a.Provider()+" was asked (scope openid) and did not say"),
			"Authorize again, by the button of the account's page. If the provider never says it, remove openid from the scopes in its section of the configuration.")
		return "A mailbox opened, but the mail server may have opened another than that of " + a.Name() + ": some do not look at the user name. Nothing was kept."
	default:
		res.step("Who signed in is not known", 0, nil,
			"That this is the mailbox of "+a.Name()+" is the mail server's word alone, and some do not look at the user name. If "+a.Provider()+" supports OpenID Connect, add openid and email to its scopes.")
	}
	return ""
}
