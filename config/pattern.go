package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

var (
	patternKeys  = []string{"password_file", "mailboxes"} // only patterns have these keys
	explicitKeys = []string{"login", "shared_mailboxes"}  // only other accounts have these keys

	upstreamUserKeys = []string{"imap_user", "smtp_user", "pop3_user"} // likewise
)

// A pattern is a table [account."*@DOMAIN"] for several mailboxes of a domain. Its grants
// open every mailbox of the domain, so the configuration must list the mailboxes and
// their passwords.
type pattern struct {
	account   *Account
	mailboxes []mailbox
}

// A mailbox is a mailbox of a pattern, listed in the configuration or in a password
// file.
type mailbox struct {
	name, hash string
	file       string
	line       int
	prefix     string // of messages: "mailboxes: ", or empty in a password file
}

// fault returns a Fault at the line of m. It is also used for warnings.
func (m mailbox) fault(format string, args ...any) Fault {
	return Fault{File: m.file, Line: m.line, Message: m.prefix + fmt.Sprintf(format, args...), External: m.prefix == ""}
}

// displayName returns the name of m for messages. It hides the name in a password file,
// where a password may be in its place.
func (m mailbox) displayName() string {
	if m.prefix == "" {
		return "the name before the colon"
	}
	return strconv.Quote(m.name)
}

func isPattern(name string) bool { return strings.Contains(name, "*") }

// pattern reads the mailboxes of a pattern: from a file with a password for each of them,
// or from a list with one password for all.
func (t *table) pattern(a *Account) *pattern {
	t.seen = append(t.seen, explicitKeys...)
	domain, ok := strings.CutPrefix(a.Name, "*@")
	if !ok || domain == "" || strings.ContainsAny(domain, "*@ ") {
		t.file.fault(t.pos.line(), `%s: * can only stand for the mailboxes of a domain, as in [account."*@example.com"]`, t.header())
		t.seen = append(t.seen, patternKeys...)
		return &pattern{account: a}
	}
	for _, key := range t.present(slices.Concat(explicitKeys, upstreamUserKeys)...) {
		t.fault(key, "is not available for patterns; add a separate account for a mailbox that needs it")
	}
	t.atMostOne("password", "password_file", "password_hash")
	names := t.texts("mailboxes", nil)
	switch file, hash := t.has("password_file"), t.has("password_hash"); {
	case file && t.has("mailboxes"):
		t.fault("mailboxes", "is not used with password_file, which lists the mailboxes")
	case hash && !file:
		t.require("mailboxes", `list the mailboxes that use the password: mailboxes = ["alice@example.com", "bob@example.com"]`)
	case !file:
		t.file.fault(t.pos.line(), `%s has neither password_file nor password_hash with mailboxes: clients could read all mail of %s without a password`, t.header(), domain)
	}
	p := &pattern{a, t.passwordFile()}
	for i, name := range names {
		if checkLine(name) == nil { // else already reported
			line := t.pos.key("mailboxes").item(i).line()
			p.mailboxes = append(p.mailboxes, mailbox{name, a.PasswordHash, t.file.name, line, "mailboxes: "})
		}
	}
	return p
}

// passwordFile reads lines of a mailbox, a colon and a password hash. It ignores further
// fields after another colon, which are for other programs.
func (t *table) passwordFile() (mailboxes []mailbox) {
	path := t.text("password_file", "")
	if path == "" {
		return nil
	}
	text, err := t.secretFile(path)
	path = t.file.path(path)
	if err == nil && !utf8.ValidString(text) {
		err = fmt.Errorf("%s: the file must be UTF-8 text", path)
	}
	if err != nil {
		t.externalFault("password_file", "%v", err)
		return nil
	}
	empty := true
	m := mailbox{file: path}
	var weak []Fault
	for line := range strings.Lines(text) {
		m.line++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		empty = false
		name, rest, colon := strings.Cut(line, ":")
		field, _, _ := strings.Cut(rest, ":")
		hash, weakness, err := parseHash(field)
		m.name, m.hash = name, hash
		if weakness != "" {
			weak = append(weak, m.fault("password hash: %s", weakness))
		}
		switch {
		case !colon || checkLine(m.name) != nil:
			t.file.faults = append(t.file.faults, m.fault(`expected "mailbox:hash", such as alice@example.com:$argon2id$v=19$...`))
		case err != nil:
			t.file.faults = append(t.file.faults, m.fault("password hash: %v", err))
		default:
			mailboxes = append(mailboxes, m)
		}
	}
	if empty {
		t.externalFault("password_file", "%s: holds no mailbox", path)
	}
	if n := len(weak); n > 0 {
		if n > 1 {
			weak[0].Message += fmt.Sprintf("; this applies to %d more in this file", n-1)
		}
		t.file.warnings = append(t.file.warnings, weak[0])
	}
	return mailboxes
}

// expand adds an account for each mailbox of a pattern to accounts, except for mailboxes
// that have a table of their own in explicit, by lower-case name.
func (f *file) expand(p *pattern, explicit, accounts map[string]*Account) {
	suffix := strings.ToLower(strings.TrimPrefix(p.account.Name, "*"))
	first := map[string]int{} // lines, by lower-case name
	for _, m := range p.mailboxes {
		lower := strings.ToLower(m.name)
		switch own, err := explicit[lower], checkMailbox(m.name); {
		case err != nil:
			f.faults = append(f.faults, m.fault("%s %v", m.displayName(), err))
		case isPattern(lower) || !strings.Contains(lower, "@"):
			f.faults = append(f.faults, m.fault("%s is not a mailbox of %s; write its full address", m.displayName(), p.account.Name))
		case !strings.HasSuffix(lower, suffix):
			f.faults = append(f.faults, m.fault("%s is in another domain than %s; add a separate account for it", m.displayName(), p.account.Name))
		case first[lower] > 0:
			f.faults = append(f.faults, m.fault("%s is already listed in line %d", m.displayName(), first[lower]))
		case own != nil:
			f.warnings = append(f.warnings, m.fault("is not used: the mailbox has its own account, [%s]", toml.Key{"account", own.Name}))
		default:
			a := *p.account
			a.Name, a.LoginHint, a.PasswordHash, a.Pattern = m.name, m.name, m.hash, p.account.Name
			accounts[a.Name] = &a
		}
		first[lower] = m.line
	}
}
