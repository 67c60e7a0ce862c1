package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/xoauthd/xoauthd/internal/text"
)

// accounts reads the accounts, of which a pattern makes one for each of its
// mailboxes.
func (t *table) accounts(providers map[string]*Provider) map[string]*Account {
	accounts := map[string]*Account{}
	whole := map[string]*Account{} // those that are written out in full, by folded name
	var patterns []*pattern
	t.file.accounts = t.tables("account")
	for _, a := range t.file.accounts {
		account := a.account(providers)
		if isPattern(a.name()) {
			patterns = append(patterns, a.pattern(account))
		} else {
			account.Logins = a.logins()
			account.SharedMailboxes = a.sharedMailboxes(providers[account.Provider])
			a.checkWhole(account, providers[account.Provider])
			accounts[a.name()] = account
			whole[strings.ToLower(a.name())] = account
		}
		a.done()
	}
	for _, p := range patterns {
		t.file.expand(p, whole, accounts)
	}
	return accounts
}

// account reads what a mailbox and a pattern have in common.
func (t *table) account(providers map[string]*Provider) *Account {
	t.require("provider", "name one of the [provider.NAME] tables")
	a := &Account{
		Name:     t.name(),
		Provider: t.providerName(providers),
		Enabled:  t.boolean("enabled", true),
		Line:     t.place.at(),
	}
	if p := providers[a.Provider]; p != nil && p.Flow != "" {
		t.checkAccountKeys(p)
	}
	a.PasswordHash = t.passwordHash()
	a.UpstreamPassword = t.secret("password", checkPassword, t.sources("upstream_password")...)
	a.IMAPUser = t.text("imap_user", "")
	a.SMTPUser = t.text("smtp_user", "")
	a.POP3User = t.text("pop3_user", "")
	a.LoginHint = t.text("login_hint", a.Name)
	return a
}

// checkAccountKeys tells of the keys that are too many or too few for the
// provider.
func (t *table) checkAccountKeys(p *Provider) {
	f := flowNamed(p.Flow)
	whose := fmt.Sprintf(" of the provider %q", p.Name)
	t.refuse(f, whose)
	if isPattern(t.name()) && !f.patterns {
		t.file.fault(t.place.at(), "%s: a pattern needs tokens for any mailbox, and the flow %q%s gives them for one alone; patterns go with %s",
			t.header(), f.name, whose, enumerate(flowNames(func(o *flow) bool { return o.patterns })))
		return
	}
	if isPattern(t.name()) && len(p.TokenCommand) > 0 && !namesMailbox(p.TokenCommand) {
		t.file.warn(t.place.at(), "%s: the token_command%s is not told which mailbox it runs for: unless its tokens are for all of them, add %s to its arguments", t.header(), whose, mailboxWord)
	}
	t.complete(f, f.accountNeeds, whose)
	for _, protocol := range Protocols() {
		if key := protocol + "_user"; t.has(key) && p.Upstream(protocol) == nil {
			t.fault(key, "means nothing here: the provider %q has no %s server", p.Name, protocol)
		}
	}
}

// checkWhole tells what is wrong with the name and the keys of an account that
// is written out in full. Its provider may be nil.
func (t *table) checkWhole(a *Account, p *Provider) {
	name := t.name()
	if err := checkMailbox(name); err != nil {
		t.file.fault(t.place.at(), "%s: the name %v; write the mailbox's address", t.header(), err)
	} else if p != nil && p.wholeAddresses() && !strings.Contains(name, "@") && !t.has("imap_user") {
		t.file.warn(t.place.at(), "%s: %s knows its mailboxes by their whole addresses; write one, with its @", t.header(), p.Title)
	}
	if len(a.Logins) == 0 {
		t.require("password_hash", fmt.Sprintf(`whoever reached the port could log in; make one with "xoauthd hash-password", or add [[%s]]`, append(t.path, "login")))
	}
	t.asked = append(t.asked, patternKeys...)
	for _, key := range t.given(patternKeys...) {
		t.fault(key, `only a pattern has one, such as [account."*@example.com"]`)
	}
}

// checkMailbox says what is wrong with the name of a mailbox without showing it.
// Some servers have names without @.
func checkMailbox(name string) error {
	local, domain, at := strings.Cut(name, "@")
	switch {
	case name == "." || name == "..":
		return errors.New("cannot be that of a page")
	case strings.ContainsFunc(name, unicode.IsSpace):
		return errors.New("must not hold a space")
	case strings.Contains(name, `\`):
		return errDivider
	case at && (local == "" || domain == ""):
		return errors.New("must have something on both sides of its @")
	}
	return nil
}

// errDivider is a name that would be taken apart when a client gives it.
var errDivider = errors.New(`must not hold a \ or *, behind which a client names a shared mailbox`)

// sharedMailboxes reads the mailboxes that a client may name behind its user
// name. "*" alone allows any mailbox that the token opens. p may be nil.
func (t *table) sharedMailboxes(p *Provider) []string {
	names := t.texts("shared_mailboxes", nil)
	if slices.Equal(names, []string{"*"}) {
		if p != nil && p.opensAny() {
			t.fault("shared_mailboxes", `"*" is refused with the flow %q of the provider %q: its tokens open every mailbox, so clients of this account could open the mailboxes of all other accounts; list the mailboxes instead, shared_mailboxes = ["info@example.com"]`, p.Flow, p.Name)
		}
		return names
	}
	for i, name := range names {
		line := t.place.key("shared_mailboxes").item(i).at()
		if name == "*" {
			t.file.fault(line, `shared_mailboxes: "*" is for any, and stands alone`)
		} else if err := checkUser(name); err != nil {
			t.file.fault(line, "shared_mailboxes: %q %v", name, err)
		} else if p != nil && p.wholeAddresses() && !strings.Contains(name, "@") {
			t.file.warn(line, "shared_mailboxes: %q has no @, and %s knows its mailboxes by their whole addresses; write one", name, p.Title)
		}
	}
	return names
}

func checkPassword(s string) error {
	if strings.Trim(s, ".…") == "" && s != "" {
		return errors.New("the password is the placeholder of an example: write the one that the provider gives, or name its file by upstream_password_file")
	}
	if err := oneLine(s); err != nil {
		return fmt.Errorf("the password %w", err)
	}
	return nil
}

// providerName reads the name of a provider, which must be there.
func (t *table) providerName(providers map[string]*Provider) string {
	name := t.text("provider", "")
	if name == "" || providers[name] != nil {
		return name
	}
	names := slices.Sorted(maps.Keys(providers))
	switch near := text.Nearest(name, names); {
	case near != "":
		t.fault("provider", "there is no provider %q; did you mean %q?", name, near)
	case len(names) > 0:
		t.fault("provider", "there is no provider %q; the providers are %s", name, enumerate(names))
	default:
		t.fault("provider", "there is no provider %q; add a table [provider.%[1]s]", name)
	}
	return ""
}
