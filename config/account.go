package config

import (
	"fmt"
	"maps"
	"slices"
)

func (t *table) accounts(providers map[string]*Provider) map[string]*Account {
	accounts := map[string]*Account{}
	for _, a := range t.tables("account") {
		accounts[a.name()] = a.account(providers)
		a.done()
	}
	return accounts
}

func (t *table) account(providers map[string]*Provider) *Account {
	if t.name() == "." || t.name() == ".." {
		t.file.fault(t.place.at(), "%s: the name cannot be that of a page; write the mailbox's address", t.header())
	}
	t.require("provider", "name one of the [provider.NAME] tables")
	t.require("password_hash", `whoever reached the port could log in; make one with "xoauthd hash-password"`)
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
	a.LoginHint = t.text("login_hint", a.Name)
	return a
}

// checkAccountKeys tells of the keys that are too many or too few for the
// provider.
func (t *table) checkAccountKeys(p *Provider) {
	f := flowNamed(p.Flow)
	whose := fmt.Sprintf(" of the provider %q", p.Name)
	t.refuse(f, whose)
	t.complete(f, f.accountNeeds, whose)
	for _, protocol := range []string{"imap", "smtp"} {
		if key := protocol + "_user"; t.has(key) && p.Upstream(protocol) == nil {
			t.fault(key, "means nothing here: the provider %q has no %s server", p.Name, protocol)
		}
	}
}

func checkPassword(s string) error {
	if err := oneLine(s); err != nil {
		return fmt.Errorf("the password %w", err)
	}
	return nil
}

// passwordHash never shows what it reads: it may be a password.
func (t *table) passwordHash() string {
	hash, ok := value[string](t, "password_hash")
	if !ok {
		return ""
	}
	if err := checkHash(hash); err != nil {
		t.fault("password_hash", "%v", err)
	}
	return hash
}

// providerName reads the name of a provider, which must be there.
func (t *table) providerName(providers map[string]*Provider) string {
	name := t.text("provider", "")
	if name == "" || providers[name] != nil {
		return name
	}
	names := slices.Sorted(maps.Keys(providers))
	switch near := nearest(name, names); {
	case near != "":
		t.fault("provider", "there is no provider %q; did you mean %q?", name, near)
	case len(names) > 0:
		t.fault("provider", "there is no provider %q; the providers are %s", name, enumerate(names))
	default:
		t.fault("provider", "there is no provider %q; add a table [provider.%[1]s]", name)
	}
	return ""
}
