package authorize

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/xoauthd/xoauthd/auth"
)

// maxText is how much of a foreign text is shown or logged, in characters.
// Microsoft's error descriptions have some 300.
const maxText = 500

// oneLine makes a text that came from elsewhere fit to be shown and logged.
// What is not printable could begin a line of its own, or turn the direction of
// what follows.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText]) + "…"
	}
	return s
}

var aadsts = regexp.MustCompile(`\bAADSTS([0-9]{5,8})\b`)

// microsoftHint tells what to do about the AADSTS code in text, if there is one
// that is known. The codes may change: they are for people only.
func microsoftHint(text string) string {
	m := aadsts.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	switch m[1] {
	case "50011":
		return "Add the redirect URI, exactly as the account's page shows it, to the app registration in Microsoft Entra."
	case "700016", "7000112", "70001":
		return "The client id is not known in this tenant, or the app is disabled. Check client_id and the tenant."
	case "90002":
		return "There is no such tenant. Check the tenant in the configuration."
	case "50194":
		return "The app registration is for one tenant only: configure that tenant's id instead of common."
	case "7000218":
		return "Microsoft wants a client secret. Configure one, or allow public client flows in the app registration."
	case "700025":
		return "The app registration is a public client: remove the client secret from the configuration."
	case "9002325", "9002326", "9002327":
		return "The redirect URI is registered as a single-page application. Register it under Web, or Mobile and desktop."
	case "7000215":
		return "The client secret is wrong. Often the secret's id was copied instead of its value."
	case "7000222":
		return "The client secret has expired. Make a new one in the app registration."
	case "70011", "28000":
		return "The scopes are wrong, or belong to several resources. Those for mail are all of outlook.office.com."
	case "65001", "90094", "90095", "90099":
		return "An administrator of the organisation has to consent to this app first (Microsoft Entra, Enterprise applications, Permissions)."
	case "50105":
		return "An administrator has to assign this person to the app (Microsoft Entra, Enterprise applications, Users and groups)."
	case "65004":
		return "The request was declined. Authorize again and accept it."
	case "50020":
		return "The person signed in is from another organisation. Sign in with the account of this mailbox."
	case "53000", "53001", "53003", "530032", "50131":
		return "The organisation's Conditional Access rules forbid it. An administrator has to allow this app."
	case "54005", "70000":
		return "The code was used already or came too late. Authorize again."
	}
	return ""
}

// answerHint tells what to do about an error that came by the callback, RFC
// 6749 section 4.1.2.1.
func answerHint(code, description string) string {
	if h := microsoftHint(description); h != "" {
		return h
	}
	switch code {
	case "access_denied":
		return "Authorize again and agree to what is asked. If that is not offered, an administrator of the organisation has to allow this app."
	case "consent_required", "interaction_required", "login_required":
		return "Authorize again, and sign in anew if you are asked to. An administrator may have to consent first."
	case "invalid_scope":
		return "The provider does not allow these scopes for this client id. Check both in its registration."
	case "unauthorized_client", "unsupported_response_type", "invalid_request", "invalid_client":
		return "Check client_id, scopes and redirect URI in the configuration and in the registration at the provider."
	case "server_error", "temporarily_unavailable":
		return "The provider has a fault of its own. Try again in a few minutes."
	}
	return "Try again. If it stays, look at the log and at the registration at the provider."
}

// exchangeHint tells what to do about an error of the token endpoint, RFC 6749
// section 5.2.
func exchangeHint(err error) string {
	if h := microsoftHint(err.Error()); h != "" {
		return h
	}
	var answer *auth.Error
	switch {
	case unreachable(err):
		return "The provider's token endpoint cannot be reached from this machine. Try again once it can."
	case !errors.As(err, &answer):
		return ""
	case answer.Code == "":
		return "The provider has a fault of its own. Try again in a few minutes."
	}
	switch answer.Code {
	case "invalid_client", "unauthorized_client":
		return "Check client_id and the client secret in the configuration."
	case "invalid_grant":
		return "The code was used already or came too late. Authorize again."
	case "redirect_uri_mismatch":
		return "Register the redirect URI exactly as the account's page shows it."
	}
	return "Try again. If it stays, check the provider's section of the configuration."
}

// refreshTokenHint tells how to get a refresh token. Some providers give one
// only to who asks for it, and some only with the first consent.
func refreshTokenHint(a *account) string {
	return "Ask for one in the provider's section of the configuration: the scope offline_access (Microsoft, OpenID Connect), or access_type = \"offline\" and prompt = \"consent\" in authorization_params (Google). If it asks already, take back the access of this app on the security page of the account at " + a.Provider() + ". Then authorize again."
}

// scopeWords says in plain words what a scope lets the program do, or nothing.
func scopeWords(scope string) string {
	for _, known := range []struct{ end, words string }{
		{"://mail.google.com/", "read, send and delete mail"},
		{"/IMAP.AccessAsUser.All", "read and change mail, by IMAP"},
		{"/POP.AccessAsUser.All", "read and delete mail, by POP"},
		{"/SMTP.Send", "send mail, by SMTP"},
		{"/protocol-imap", "read and change mail, by IMAP"},
		{"/protocol-pop", "read and delete mail, by POP"},
		{"/protocol-smtp", "send mail, by SMTP"},
		{"mail:imap_full", "read and change mail, by IMAP"},
		{"mail:smtp", "send mail, by SMTP"},
		{"mail-w", "read, send and delete mail"},
		{"mail.imap", "read and change mail, by IMAP"},
		{"offline_access", "go on without asking each time"},
		{"openid", "know who signed in"},
		{"email", "know the mail address"},
		{"profile", "know the name"},
	} {
		if scope == known.end || strings.HasSuffix(scope, known.end) && strings.ContainsAny(known.end[:1], ":/") {
			return known.words
		}
	}
	return ""
}

// summary tells in one line how the accounts stand.
func summary(all, needy, failing int) string {
	switch {
	case all == 0:
		return "No account is configured."
	case needy+failing == 0:
		return plural(all, "account") + ", all well."
	}
	parts := []string{fmt.Sprintf("%d authorized", all-needy-failing)}
	if needy > 0 {
		parts = append(parts, fmt.Sprintf("%d to be authorized", needy))
	}
	if failing > 0 {
		parts = append(parts, fmt.Sprintf("%d failing for now", failing))
	}
	return plural(all, "account") + ": " + strings.Join(parts, ", ") + "."
}

// ago tells how far t is from now, in one unit.
func ago(t, now time.Time) string {
	d := t.Sub(now.Round(0)) // wall clock: the monotonic one stands still in suspend
	form := "in %s"
	if d < 0 {
		form, d = "%s ago", -d
	}
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf(form, plural(int(d/time.Minute), "minute"))
	case d < 2*day:
		return fmt.Sprintf(form, plural(int(d/time.Hour), "hour"))
	}
	return fmt.Sprintf(form, plural(int(d/day), "day"))
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
