package daemon

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/xoauthd/xoauthd/config"
)

// dividers are what a user name ends at where a client names a shared mailbox
// behind it, as Exchange has it and as Dovecot does. No user name holds one.
const dividers = `\*`

// divide takes apart what a client logs in as. The mailbox is empty, and shared
// false, where it names none.
func divide(name string) (user, mailbox string, shared bool) {
	i := strings.IndexAny(name, dividers)
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// shared is the user at the upstream of protocol who opens a shared mailbox. The
// mailbox can be read under its own name, but sends as its delegate does.
func shared(a *config.Account, protocol, mailbox string) (user string, err error) {
	if mailbox == "" || strings.ContainsFunc(mailbox, unicode.IsControl) {
		return "", fmt.Errorf("account %s: what is behind the user name is no mailbox", a.Name)
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
