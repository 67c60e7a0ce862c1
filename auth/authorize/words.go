package authorize

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/text"
)

// maxText is how much of a foreign text is shown or logged, in octets.
// Microsoft's error descriptions have some 300.
const maxText = 500

// oneLine makes a text that came from elsewhere fit to be shown and logged.
func oneLine(s string) string { return text.Line(s, maxText) }

// A piece is a part of a text.
type piece struct {
	Text  string
	Whole bool // it must not be broken, if there is room
}

// pieces returns the parts of s. Browsers break a line at each hyphen, which makes
// two of a command's name, or of an option: words with one are whole.
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

// answerHint tells what to do about an error that came by the callback, RFC
// 6749 section 4.1.2.1.
func answerHint(a Account, code, description string) string {
	switch hint := a.Hint(code, description); {
	case hint != "":
		return hint
	case code == "server_error", code == "temporarily_unavailable":
		return "The provider has a fault of its own. Try again in a few minutes."
	}
	return "Try again. If it stays, look at the log and at the registration at the provider."
}

// exchangeHint tells what to do about an error of the token endpoint, RFC 6749
// section 5.2. What is no longer good there may be a grant elsewhere; here it is
// the code.
func exchangeHint(err error) string {
	var answer *auth.Error
	switch {
	case unreachable(err):
		return "The provider's token endpoint cannot be reached from this machine. Try again once it can."
	case !errors.As(err, &answer):
		return ""
	case answer.Code == "":
		return "The provider has a fault of its own. Try again in a few minutes."
	case (answer.Code == "invalid_grant" || answer.Code == "invalid_code") && !strings.Contains(answer.Description, "AADSTS"):
		return "The code was used already or came too late. Authorize again."
	}
	return cmp.Or(answer.Hint(), "Try again. If it stays, check the provider's section of the configuration.")
}

// refreshTokenHint tells how to get a refresh token. Some providers give one
// only to who asks for it, and some only with the first consent.
func refreshTokenHint(a Account) string {
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

// command is what to type to have xoauthd do so with the account, on its machine.
func (a *account) command(verb string) string {
	return "sudo -u xoauthd xoauthd " + verb + " " + shellWord(a.Name())
}

// shellWord is s as one word of a shell's, in quotes if it needs them.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("@._-+=:,%/", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// summary tells in one line how the accounts stand, of which there are so many in
// each section of the list.
func summary(counts [sections]int) string {
	all := 0
	for _, n := range counts {
		all += n
	}
	switch all {
	case 0:
		return "No account is configured."
	case counts[inOrder]:
		return plural(all, "account") + ", all well."
	}
	parts := []string{fmt.Sprintf("%d in order", counts[inOrder])}
	for section, words := range [sections]string{toAuthorize: "to be authorized", failing: "failing", warned: "with a warning", disabled: "disabled"} {
		if n := counts[section]; n > 0 && section != inOrder {
			parts = append(parts, fmt.Sprintf("%d %s", n, words))
		}
	}
	return plural(all, "account") + ": " + strings.Join(parts, ", ") + "."
}

// mailboxWords tells how many mailboxes of a pattern are in a section of the list,
// of all that it has.
func mailboxWords(n, all, section int) string {
	words := "1 mailbox"
	if all > 1 {
		words = fmt.Sprintf("%d mailboxes", all)
	}
	switch {
	case n < all:
		return fmt.Sprintf("%d of %s", n, words)
	case section == inOrder:
		return words + ", all well"
	}
	return words
}

// ago tells how far t is from now, in one unit.
func ago(t, now time.Time) string {
	d := t.Sub(now.Round(0)) // wall clock: the monotonic one stands still in suspend
	switch {
	case d >= time.Minute:
		return "in " + span(d)
	case d > 0:
		return "in less than a minute"
	case d > -time.Minute:
		return "just now"
	}
	return span(-d) + " ago"
}

// TimeLeft tells how long something lasts that ends at t: "14 minutes left". It
// never tells more than there is.
func TimeLeft(t, now time.Time) string {
	d := t.Sub(now.Round(0))
	switch {
	case d <= 0:
		return "expired"
	case d < time.Minute:
		return "less than a minute left"
	}
	return span(d) + " left"
}

// span is d, which is a minute or more, in one unit, rounded down.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute")
	case d < 2*day:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/day), "day")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
