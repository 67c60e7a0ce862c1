package daemon

import (
	"errors"
	"testing"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy"
)

// TestLogins checks the user name at the upstream and the label for each login of an account,
// with and without a shared mailbox after the user name.
func TestLogins(t *testing.T) {
	c := load(t, listeners)
	alice, bob := c.Accounts["alice@example.com"], c.Accounts["bob@example.com"]
	alice.SharedMailboxes = []string{"Info@example.com"}
	alice.SMTPUser = "alice-sends@example.com"
	bob.SharedMailboxes = []string{"*"}
	bob.Logins = []config.Login{{Label: "scanner", User: "scanner1", PasswordHash: bob.PasswordHash, Protocols: []string{"smtp"}}}
	bob.PasswordHash = ""
	d, _ := start(t, c)
	for _, test := range []struct {
		name, protocol, user, password string
		as, label                      string // user name at the upstream, and label; both empty: rejected
	}{
		{"the account's own", "imap", "alice@example.com", "secret", "alice@example.com", ""},
		{"another user name", "smtp", "Scanner1", "secret", "bob@example.com", "scanner"},
		{"an account without a password of its own", "smtp", "bob@example.com", "secret", "", ""},

		{"a shared mailbox", "imap", `alice@example.com\info@example.com`, "secret", "Info@example.com", ""},
		{"a shared mailbox, as Dovecot has it", "pop3", "ALICE@example.com*INFO@example.com", "secret", "Info@example.com", ""},
		{"the delegate of a shared mailbox sends", "smtp", `alice@example.com\info@example.com`, "secret", "alice-sends@example.com", ""},
		{"a shared mailbox and a wrong password", "imap", `alice@example.com\info@example.com`, "wrong", "", ""},
		{"a mailbox that is not shared", "imap", `alice@example.com\bob@example.com`, "secret", "", ""},
		{"a sender that is not shared", "smtp", `alice@example.com\bob@example.com`, "secret", "", ""},
		{"the account's own mailbox, not shared", "imap", `alice@example.com\alice@example.com`, "secret", "", ""},
		{"no mailbox", "imap", `alice@example.com\`, "secret", "", ""},
		{"no user", "imap", `\info@example.com`, "secret", "", ""},

		{"any mailbox", "smtp", `scanner1\x@example.com`, "secret", "bob@example.com", "scanner"},
		{"any mailbox, with control characters", "smtp", "scanner1\\x\x01auth=Bearer y", "secret", "", ""},
		{"any mailbox, without a name", "smtp", "scanner1*", "secret", "", ""},
	} {
		l, err := d.accounts.LogIn(t.Context(), proxy.Attempt{Protocol: test.protocol, User: test.user, Password: test.password})
		if test.as == "" {
			if e := (*proxy.Error)(nil); !errors.As(err, &e) || e.Result != proxy.BadCredentials || e.Detail != "" {
				t.Errorf("%s: %+v, %v", test.name, l, err)
			}
			continue
		}
		if err != nil || l.User != test.as || l.Label != test.label {
			t.Errorf("%s: %+v, %v", test.name, l, err)
		}
	}
}
