package authorize

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/exhausted"
	"github.com/xoauthd/xoauthd/internal/text"
)

// maxText limits the length of a provider's or server's text on pages and in logs, in
// bytes. Error descriptions of Microsoft have about 300.
const maxText = 500

// oneLine returns s as one line of at most maxText bytes.
func oneLine(s string) string { return text.Line(s, maxText) }

// A piece is a part of a text.
type piece struct {
	Text    string
	NoBreak bool // keep the piece on one line if possible
}

// pieces splits s into pieces. Each word with a hyphen is a piece with NoBreak, because
// browsers would break the names of commands and options at a hyphen.
func pieces(s string) []piece {
	var all []piece
	rest := ""
	for word := range strings.SplitAfterSeq(s, " ") {
		if !strings.Contains(word, "-") || len(word) < 3 {
			rest += word
			continue
		}
		bare := strings.TrimSuffix(word, " ")
		all = append(all, piece{Text: rest}, piece{bare, true})
		rest = word[len(bare):]
	}
	return append(all, piece{Text: rest})
}

// callbackHint returns what a person can do about an error in a callback (RFC 6749 section
// 4.1.2.1).
func callbackHint(a *Account, code, description string) string {
	switch hint := a.Client.Hint(code, description); {
	case hint != "":
		return hint
	case code == "server_error", code == "temporarily_unavailable":
		return "The provider has an internal error. Try again in a few minutes."
	}
	return "Try again. If the error persists, check the log of xoauthd and the registration at the provider."
}

// exchangeHint returns what a person can do about an error of the token endpoint (RFC 6749
// section 5.2). For a refresh, invalid_grant means an invalid grant. Here it means an
// invalid code.
func exchangeHint(err error) string {
	var answer *oauth.Error
	local := exhausted.Hint(err)
	switch {
	case local != "":
		return local
	case unreachable(err):
		return "The provider's token endpoint cannot be reached from this machine. Try again later."
	case !errors.As(err, &answer):
		return ""
	case answer.Code == "":
		return "The provider has an internal error. Try again in a few minutes."
	case (answer.Code == "invalid_grant" || answer.Code == "invalid_code") && !strings.Contains(answer.Description, "AADSTS"):
		return "The code has already been used or has expired. Authorize again."
	}
	return cmp.Or(answer.Hint(), "Try again. If the error persists, check the provider's section of the configuration.")
}

// refreshTokenHint returns how to get a refresh token. Some providers issue one only on
// request, and some only with the first consent.
func refreshTokenHint(a *Account) string {
	return "Request one in the provider's section of the configuration: add the scope offline_access (Microsoft, OpenID Connect), or set access_type = \"offline\" and prompt = \"consent\" in authorization_params (Google). If the configuration already requests one, remove the access of this app on the security page of the account at " + a.Provider + ". Then authorize again."
}

// describeScope returns what a scope permits, or "" for an unknown scope.
func describeScope(scope string) string {
	for _, known := range []struct{ suffix, text string }{
		{"://mail.google.com/", "read, send and delete mail"},
		{"/IMAP.AccessAsUser.All", "read and change mail by IMAP"},
		{"/POP.AccessAsUser.All", "read and delete mail by POP"},
		{"/SMTP.Send", "send mail by SMTP"},
		{"/protocol-imap", "read and change mail by IMAP"},
		{"/protocol-pop", "read and delete mail by POP"},
		{"/protocol-smtp", "send mail by SMTP"},
		{"mail:imap_full", "read and change mail by IMAP"},
		{"mail:smtp", "send mail by SMTP"},
		{"mail-w", "read, send and delete mail"},
		{"mail.imap", "read and change mail by IMAP"},
		{"offline_access", "keep access without asking each time"},
		{"openid", "identify the user"},
		{"email", "know the email address"},
		{"profile", "know the name"},
	} {
		if scope == known.suffix || strings.HasSuffix(scope, known.suffix) && strings.ContainsAny(known.suffix[:1], ":/") {
			return known.text
		}
	}
	return ""
}

// command returns the shell command that runs a subcommand of xoauthd for a.
func (a *account) command(verb string) string {
	return "sudo -u xoauthd xoauthd " + verb + " " + text.ShellWord(a.Name)
}

// summary returns one line about all accounts. The counts are those of the sections of
// the list.
func summary(counts [numSections]int) string {
	all := 0
	for _, n := range counts {
		all += n
	}
	switch all {
	case 0:
		return "No account is configured."
	case counts[healthy]:
		return text.Count(all, "account") + ", all working."
	}
	parts := []string{fmt.Sprintf("%d working", counts[healthy])}
	for section, what := range [numSections]string{needsAuthorization: "awaiting authorization", failing: "failing", withWarning: "with a warning", disabled: "disabled"} {
		if n := counts[section]; n > 0 && section != healthy {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	return text.Count(all, "account") + ": " + strings.Join(parts, ", ") + "."
}

// mailboxSummary returns the number of mailboxes of a pattern: n in this section of the
// list, of all that match the pattern.
func mailboxSummary(n, all, section int) string {
	mailboxes := text.Count(all, "mailbox")
	switch {
	case n < all:
		return fmt.Sprintf("%d of %s", n, mailboxes)
	case section == healthy:
		return mailboxes + ", all working"
	}
	return mailboxes
}
