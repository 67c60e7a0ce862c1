package oauth

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/internal/exhausted"
)

// The families of providers with known errors.
const (
	Google    = "google"
	Microsoft = "microsoft"
	Yahoo     = "yahoo" // and AOL
)

// Hint returns the cause and the remedy in one line; empty if they are not known.
func (e *Error) Hint() string {
	h := cmp.Or(e.Remedy, hintFor(e.Family, e.Code, e.Description), e.temporaryHint())
	if h == hintEnded && e.Kind == Misconfigured { // a flow without a person
		return hintRefused
	}
	return h
}

// temporaryHint returns the hint for a failure of this machine, the network or the server.
func (e *Error) temporaryHint() string {
	var network *net.OpError
	local := exhausted.Hint(e.Err)
	switch {
	case e.Kind != Temporary || e.Code != "":
		return ""
	case local != "":
		return local
	case e.Status >= 500:
		return hintServer
	case errors.As(e.Err, &network) && network.Op == "dial":
		return hintUnreachable
	}
	return ""
}

// Hint returns the hint for an error of the authorization endpoint (RFC 6749 section
// 4.1.2.1).
func (p *Provider) Hint(code, description string) string { return hintFor(p.Family, code, description) }

// hintFor returns the hint for an error: of the family, then of any provider. It goes by the
// provider's own codes, or by its words. Both may change, so hints are for people only.
func hintFor(family, code, description string) string {
	code, description = strings.ToLower(code), strings.ToLower(description)
	var all []hint
	switch family {
	case Google:
		all = googleHints
	case Microsoft:
		for _, number := range slices.Backward(entraCodes(description)) { // the last one is the most specific
			if h := find(entraHints, number, description); h != "" {
				return h
			}
		}
	case Yahoo:
		all = yahooHints
	}
	return cmp.Or(find(all, code, description), find(commonHints, code, description))
}

func find(all []hint, code, description string) string {
	for _, h := range all {
		if slices.Contains(strings.Fields(h.codes), code) && strings.Contains(description, h.says) {
			return h.text
		}
	}
	return ""
}

// entraCodes returns the AADSTS numbers in a description of Microsoft Entra.
func entraCodes(description string) (all []string) {
	for _, part := range strings.Split(strings.ToLower(description), "aadsts")[1:] {
		all = append(all, part[:len(part)-len(strings.TrimLeft(part, "0123456789"))])
	}
	return all
}

// A hint is the text for these codes (for Entra, numbers), if the description contains words,
// in lower case. The first match counts.
type hint struct{ codes, says, text string }

// The codes are in Microsoft's documentation of Entra's authentication errors.
var entraHints = []hint{
	// The registration.
	{"50011", "", "Add the redirect URI, exactly as the account's page shows it, to the app registration in Microsoft Entra."},
	{"700016", "", "The client id is not known in this tenant. Check client_id and the tenant; an app of another tenant needs an administrator's consent here first."},
	{"70001 7000112", "", "The client id is not known in this tenant, or the app is disabled. Check client_id and the tenant."},
	{"90002 900023 900021", "", "There is no such tenant. Check the tenant in the configuration."},
	{"50194", "", "The app registration is for one tenant only: configure that tenant's id instead of common."},
	{"7000218", "", "Microsoft wants a client secret. Configure one, or allow public client flows in the app registration."},
	{"700025", "", "The app registration is a public client: remove the client secret from the configuration."},
	{"9002325 9002326 9002327", "", "The redirect URI is registered as a single-page application. Register it under Web, or Mobile and desktop."},
	{"70003", "", "The app may not get tokens in this way. Allow public client flows in the app registration, or configure another flow."},
	{"900144 9002313", "", "The request is not what Microsoft expects. Check the endpoints and authorization_params in the provider's section of the configuration."},
	{"700024", "", hintClock},
	{"50012 70002", "time range", hintClock},
	{"7000215 70002 50012", "", "The client secret is wrong. Often the secret's id was copied instead of its value."},
	{"7000222", "", "The client secret has expired. Make a new one in the app registration."},
	{"700027", "", "Microsoft does not know the client's certificate, or it has expired. Add it to the app registration (Certificates & secrets), and check this machine's clock."},

	// Scopes and consent.
	{"70011 28000", "", "The scopes are wrong, or belong to several resources. Those for mail are all of outlook.office.com; app-only access has one, https://outlook.office365.com/.default."},
	{"1002012", "", "App-only access has one scope: https://outlook.office365.com/.default."},
	{"65001", "", "Nobody has consented to this app, or to all that it asks for. Authorize the account again; for app-only access an administrator has to consent (Microsoft Entra, App registrations, API permissions)."},
	{"70000", "scopes requested are unauthorized", "Nobody has consented to all the scopes that are asked for, or no longer. Authorize the account again; an administrator may have to consent first (Microsoft Entra, App registrations, API permissions)."},
	{"500011 500014 650057", "", "The scopes are of a resource that this tenant does not have, or that the app registration does not ask for. Check the scopes (those for mail are of outlook.office.com), the API permissions and the tenant."},
	{"650052 650051", "", "The organisation has no service principal for Exchange Online, mostly because it has no licence for it. An administrator assigns one, and consents to the app for the organisation."},
	{"65005", "", "The app registration lacks a permission that is asked for. Add it (API permissions, Office 365 Exchange Online) and have an administrator consent."},
	{"90094 90095 90099", "", "An administrator of the organisation has to consent to this app first (Microsoft Entra, Enterprise applications, Permissions)."},
	{"50105", "", "An administrator has to assign this person to the app (Microsoft Entra, Enterprise applications, Users and groups)."},
	{"65004", "", "The request was declined. Authorize again and accept it."},

	// The person.
	{"50020", "", "The person signed in is from another organisation. Sign in with the account of this mailbox."},
	{"50034", "", "There is no such user in this tenant. Check the account's address and the tenant."},
	{"50053", "", "Microsoft has locked the user after too many wrong passwords. Wait, or have an administrator unlock it; then authorize again."},
	{"50057", "", "The user is disabled. An administrator of the organisation has to enable it."},
	{"50126", "", "The user name or the password is wrong. Sign in again; where the configuration has the password, mend it there."},
	{"50055 50144", "", "The user's password has expired. Sign in at Microsoft to set another; then authorize again."},
	{"50058", "", "Microsoft wants the person to sign in. Authorize the account again."},
	{"50072 50074 50076 50079", "", "The organisation wants a second factor. Authorize the account again and give it; an account that no person authorizes needs a flow without a password."},
	{"50173", "", "The password was changed or reset, which ended the grant. Authorize the account again."},
	{"70043", "", "The organisation lets a sign-in last only for so long. Authorize the account again; an administrator can exempt this app (Conditional Access, Sign-in frequency)."},
	{"700082 70008", "", "The refresh token has expired; Microsoft ends one that was not used for 90 days. Authorize the account again."},
	{"700084", "", "Grants of a single-page application end after 24 hours. Register the redirect URI under Web, or Mobile and desktop, and authorize the account again."},
	{"53000 53001 53003 530032 50131", "", "The organisation's Conditional Access rules forbid it. An administrator has to allow this app."},

	// The course of a flow.
	{"54005 70000", "", hintUsed},
	{"70016", "", "Nobody has entered the code yet."},
	{"70018 70019", "", "The code for the device is wrong or has expired. Ask for another."},
	{"50196", "", "Microsoft was asked too often and wants a pause, which xoauthd makes."},
	{"50033 50087 90006 90024 90033 90055", "", "Microsoft has a fault of its own, or too much to do. xoauthd tries again by itself."},
	{"90038 900382", "", "The tenant is in a national cloud. Configure the endpoints of that cloud, such as login.microsoftonline.us."},
}

// Google's are in its guides to OAuth 2.0 for web servers and service accounts.
var googleHints = []hint{
	{"invalid_rapt", "", hintReauthenticate},
	{"invalid_grant", "invalid_rapt", hintReauthenticate},
	{"invalid_grant", "expired or revoked", hintGoogleEnded},
	{"invalid_grant", "jwt signature", "The key of the service account was deleted or is another's. Make a new one in the Google Cloud console and configure its file."},
	{"invalid_grant", "reasonable timeframe", "This machine's clock is most likely wrong. Set it; chrony or systemd-timesyncd keep it right."},
	{"invalid_grant", "invalid email or user id", "There is no such mailbox in the Workspace. Check the account's address."},
	{"invalid_grant", "account not found", "There is no such service account. Check the key file."},
	{"unauthorized_client", "any of the scopes requested", "The service account lacks domain-wide delegation. Add its client id with the scope https://mail.google.com/ (Google Admin console, Security, API controls)."},
	{"admin_policy_enforced", "", "An administrator of the Workspace has to trust this app (Google Admin console, Security, API controls, App access control)."},
	{"org_internal", "", "The app is for its own organisation only. Sign in with an account of that, or make the app External (Google Cloud console, Audience)."},
	{"access_denied", "", "Authorize again and agree to what is asked. If that is not offered, an administrator of the organisation has to allow this app, and an app in Testing status has to name the mailbox as a test user."},
	{"disallowed_useragent", "", "Google refuses browsers that are part of another program. Open the link in a browser of its own."},
}

const (
	hintReauthenticate = "The Workspace wants people to sign in again from time to time. Authorize the account again; an administrator can exempt this app (Google Admin console, Security, Google Cloud session control)."

	// HintTesting is the hint for grants that Google has ended after seven days.
	HintTesting = "Google ends the grants of an app in Testing status after seven days. Publish the app (Google Cloud console, Audience, In production), and authorize the account again."
)

var yahooHints = []hint{
	{"invalid_refresh_token token_expired account_not_authorized", "", hintYahooEnded},
	{"invalid_client_secret", "", "The client secret is wrong. Check it in the configuration; Yahoo and AOL have different ones."},
}

const hintClock = "The client's assertion is not valid at this time: this machine's clock is most likely wrong. Set it; chrony or systemd-timesyncd keep it right."

const (
	hintServer = "The provider has a fault of its own. xoauthd tries again by itself."

	hintUnreachable = "The provider cannot be reached from this machine. Check the network, DNS, and the HTTP proxy if there is one. xoauthd tries again by itself."
)

// Unexplained reports whether the provider does not name the cause for the end of a grant.
func (e *Error) Unexplained() bool {
	hint := hintFor(e.Family, e.Code, e.Description)
	return slices.Contains([]string{hintEnded, hintUsed, hintGoogleEnded, hintYahooEnded}, hint)
}

const (
	hintUsed = "The code or refresh token was used already, came too late, or is another app's. Authorize again."

	hintGoogleEnded = "Google has ended the grant: access was revoked, the password changed, it was not used for six months, newer grants took its place, or the app is in Testing status. Authorize the account again."

	hintYahooEnded = "Yahoo has ended the grant: access was revoked, or the password changed. Authorize the account again."

	hintEnded = "The provider has ended the grant: access was revoked, the password changed, or it was not used for a long time. Authorize the account again."

	hintRefused = "The provider refuses what it was given for this account. Check its password, key or token in the configuration."
)

var commonHints = []hint{
	{"invalid_grant invalid_code invalid_refresh_token token_expired account_not_authorized", "", hintEnded},
	{"invalid_resource invalid_target", "", "The provider does not know the resource of these scopes, or does not allow it to this client id. Check scopes and client_id."},
	{"consent_required interaction_required login_required", "", "Authorize again, and sign in again if you are asked to. An administrator may have to consent first."},
	{"access_denied", "", "Authorize again and agree to what is asked. If that is not offered, an administrator of the organisation has to allow this app."},
	{"expired_token", "", "Ask for another code, and enter it in time."},
	{"invalid_scope", "", "The provider does not allow these scopes for this client id. Check both in its registration."},
	{"invalid_client invalid_client_secret", "", "Check client_id, its secret or certificate, and auth_style in the configuration: the provider does not know the one, or does not take the other."},
	{"deleted_client disabled_client", "", "The client was deleted or disabled at the provider. Register another, and configure its client_id and client secret."},
	{"redirect_uri_mismatch invalid_redirect_uri unsupported_redirect_uri", "", "Register the redirect URI exactly as the account's page shows it."},
	{"unsupported_grant_type", "", "The provider does not offer this flow. Configure another, and check token_url."},
	{"unauthorized_client unsupported_response_type invalid_request", "", "Check client_id, scopes and redirect URI in the configuration and in the registration at the provider."},
}

// end returns when Google will end the grant of a: because the app is in Testing, or
// because the person consented for a limited time. For other providers the same number is
// the life of a refresh token that each use renews: the result is then zero.
func (p *Provider) end(now time.Time, a answer) time.Time {
	seconds, _ := a.number("refresh_token_expires_in")
	if p.Family != Google || seconds < 1 || seconds > maxGrantLife.Seconds() {
		return time.Time{}
	}
	return now.Add(time.Duration(seconds) * time.Second)
}

// maxGrantLife limits the announced life of a grant.
const maxGrantLife = 10 * 365 * 24 * time.Hour

// EndedInTesting reports whether Google ended g because the app is in Testing. It does so
// seven days after the consent; a grant that is not in use shows that up to a day later.
func (p *Provider) EndedInTesting(g Grant, e *Error) bool {
	const week, tolerance, late = 7 * 24 * time.Hour, time.Minute, 36 * time.Hour
	if p.Family != Google || e.Code != "invalid_grant" || e.Hint() == hintReauthenticate {
		return false
	}
	age := time.Since(g.Obtained.Round(0))
	return g.Hint == HintTesting || g.Withdrawn == "" && age > week-tolerance && age < week+late
}
