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

// accounts reads the accounts. A pattern yields one account for each of its mailboxes.
func (t *table) accounts(providers map[string]*Provider) map[string]*Account {
	accounts := map[string]*Account{}
	explicit := map[string]*Account{} // accounts with a table of their own, by lower-case name
	var patterns []*pattern
	t.file.accounts = t.tables("account")
	for _, a := range t.file.accounts {
		account := a.account(providers)
		if isPattern(a.name()) {
			patterns = append(patterns, a.pattern(account))
		} else {
			account.Logins = a.logins()
			account.SharedMailboxes = a.sharedMailboxes(providers[account.Provider])
			a.checkExplicit(account, providers[account.Provider])
			accounts[a.name()] = account
			explicit[strings.ToLower(a.name())] = account
		}
		a.reportUnknown()
	}
	for _, p := range patterns {
		t.file.expand(p, explicit, accounts)
	}
	return accounts
}

// account reads the keys that an account and a pattern share.
func (t *table) account(providers map[string]*Provider) *Account {
	t.require("provider", "name one of the [provider.NAME] tables")
	a := &Account{
		Name:     t.name(),
		Provider: t.providerName(providers),
		Enabled:  t.boolean("enabled", true),
		Line:     t.pos.line(),
	}
	if p := providers[a.Provider]; p != nil && p.Flow != "" {
		t.checkAccountKeys(p)
	}
	a.PasswordHash = t.passwordHash()
	a.UpstreamPassword = t.secret("password", checkPassword, t.secretSources("upstream_password")...)
	a.IMAPUser = t.text("imap_user", "")
	a.SMTPUser = t.text("smtp_user", "")
	a.POP3User = t.text("pop3_user", "")
	a.LoginHint = t.text("login_hint", a.Name)
	return a
}

// checkAccountKeys reports the keys that the provider's flow does not use, and the
// missing keys that it requires.
func (t *table) checkAccountKeys(p *Provider) {
	f := keysOf(p.Flow)
	suffix := fmt.Sprintf(" of the provider %q", p.Name)
	t.rejectUnusedKeys(f, suffix)
	if isPattern(t.name()) && !f.allowsPatterns {
		t.file.fault(t.pos.line(), "%s: a pattern needs tokens for all its mailboxes, but the flow %q%s gives tokens for one mailbox only; the flows for patterns are %s",
			t.header(), f.flow, suffix, enumerate(flowNames(func(o *flowKeys) bool { return o.allowsPatterns })))
		return
	}
	if isPattern(t.name()) && len(p.TokenCommand) > 0 && !namesMailbox(p.TokenCommand) {
		t.file.warn(t.pos.line(), "%s: the token_command%s does not receive the mailbox; add %s to its arguments, unless its tokens open all mailboxes", t.header(), suffix, mailboxWord)
	}
	t.requireKeys(f, f.accountRequired, suffix)
	for _, protocol := range Protocols() {
		key := protocol + "_user"
		switch {
		case !t.has(key):
		case p.Upstream(protocol) == nil:
			t.fault(key, "is not used: the provider %q has no %s server", p.Name, protocol)
		case key == "smtp_user" && p.SMTPAPI != nil:
			t.fault(key, "is not used: the provider %q sends by its API (smtp_api), as the account itself; remove this line", p.Name)
		}
	}
}

// checkExplicit checks the name and the keys of an account that is not a pattern. p may
// be nil.
func (t *table) checkExplicit(a *Account, p *Provider) {
	name := t.name()
	if err := checkMailbox(name); err != nil {
		t.file.fault(t.pos.line(), "%s: the name %v; write the address of the mailbox", t.header(), err)
	} else if p != nil && p.requiresFullAddress() && !strings.Contains(name, "@") && !t.has("imap_user") {
		t.file.warn(t.pos.line(), "%s: %s expects full addresses as user names; write the full address, with @", t.header(), p.Title)
	}
	if len(a.Logins) == 0 && !t.file.isDeviceAccount(name) {
		t.require("password_hash", fmt.Sprintf(`clients could log in without a password; create a hash with "xoauthd hash-password", or add [[%s]]`, append(t.path, "login")))
	}
	t.seen = append(t.seen, patternKeys...)
	for _, key := range t.present(patternKeys...) {
		t.fault(key, `is only for patterns, such as [account."*@example.com"]`)
	}
}

// checkMailbox returns an error, without the name, if name is not valid for a mailbox.
// Some servers have mailbox names without @.
func checkMailbox(name string) error {
	local, domain, at := strings.Cut(name, "@")
	switch {
	case name == "." || name == "..":
		return errors.New("must not be . or .., which cannot be part of a URL")
	case strings.ContainsFunc(name, unicode.IsSpace):
		return errors.New("must not contain a space")
	case strings.Contains(name, `\`):
		return errSeparator
	case at && (local == "" || domain == ""):
		return errors.New("must have text before and after the @")
	}
	return nil
}

// errSeparator is the error for a name that contains a separator of shared mailboxes.
var errSeparator = errors.New(`must not contain \ or *, which separate a user name from a shared mailbox`)

// sharedMailboxes reads the mailboxes that a client may name after its user name. "*"
// alone allows every mailbox that the token can open. p may be nil.
func (t *table) sharedMailboxes(p *Provider) []string {
	names := t.texts("shared_mailboxes", nil)
	if slices.Equal(names, []string{"*"}) {
		if p != nil && p.opensAllMailboxes() {
			t.fault("shared_mailboxes", `"*" is not allowed with the flow %q of the provider %q: its tokens open every mailbox, so clients of this account could open the mailboxes of all other accounts; list the mailboxes instead: shared_mailboxes = ["info@example.com"]`, p.Flow, p.Name)
		}
		return names
	}
	for i, name := range names {
		line := t.pos.key("shared_mailboxes").item(i).line()
		if name == "*" {
			t.file.fault(line, `shared_mailboxes: "*" allows every mailbox; remove the other elements`)
		} else if err := checkUser(name); err != nil {
			t.file.fault(line, "shared_mailboxes: %q %v", name, err)
		} else if p != nil && p.requiresFullAddress() && !strings.Contains(name, "@") {
			t.file.warn(line, "shared_mailboxes: %q has no @, but %s expects full addresses; write the full address", name, p.Title)
		}
	}
	return names
}

func checkPassword(s string) error {
	if strings.Trim(s, ".…") == "" && s != "" {
		return errors.New("the password is a placeholder; write the password from the provider, or set upstream_password_file")
	}
	if err := checkLine(s); err != nil {
		return fmt.Errorf("the password %w", err)
	}
	return nil
}

// providerName reads the name of a provider, and reports a fault if it does not exist.
func (t *table) providerName(providers map[string]*Provider) string {
	name := t.text("provider", "")
	if name == "" || providers[name] != nil {
		return name
	}
	names := slices.Sorted(maps.Keys(providers))
	switch near := text.Nearest(name, names); {
	case near != "":
		t.fault("provider", "unknown provider %q; did you mean %q?", name, near)
	case len(names) > 0:
		t.fault("provider", "unknown provider %q; the providers are %s", name, enumerate(names))
	default:
		t.fault("provider", "unknown provider %q; add a table [provider.%[1]s]", name)
	}
	return ""
}
