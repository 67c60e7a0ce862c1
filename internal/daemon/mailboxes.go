package daemon

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/xoauthd/xoauthd/config"
)

// separators separate a user name and a shared mailbox: the backslash of Exchange, the
// asterisk of Dovecot. User names do not contain them.
const separators = `\*`

// splitUser splits the name that a client logs in with. shared is false if it has no shared
// mailbox.
func splitUser(name string) (user, mailbox string, shared bool) {
	i := strings.IndexAny(name, separators)
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// sharedMailbox returns the user name at the mail server that opens a shared mailbox. A mailbox
// is read under its own name, but mail is sent as the delegate.
func sharedMailbox(a *config.Account, protocol, mailbox string) (user string, err error) {
	if mailbox == "" || strings.ContainsFunc(mailbox, unicode.IsControl) {
		return "", fmt.Errorf("account %s: no shared mailbox follows the user name", a.Name)
	}
	i := slices.IndexFunc(a.SharedMailboxes, func(m string) bool { return m == "*" || strings.EqualFold(m, mailbox) })
	switch {
	case i < 0:
		return "", fmt.Errorf("account %s: its shared_mailboxes do not have %s", a.Name, mailbox)
	case protocol == "smtp":
		return a.User(protocol), nil
	case a.SharedMailboxes[i] != "*":
		mailbox = a.SharedMailboxes[i]
	}
	return mailbox, nil
}
