package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// The keys of a pattern alone, and of an account alone that is written out in
// full.
var (
	patternKeys = []string{"password_file", "mailboxes"}
	wholeKeys   = []string{"login", "shared_mailboxes"}
)

// A pattern is an account for several mailboxes of a domain. Its grants open all
// of them, so that who may log in, and where, must be written down.
type pattern struct {
	account   *Account
	mailboxes []mailbox
}

// A mailbox is one that a pattern names, at a place in the configuration or in
// a password file.
type mailbox struct {
	name, hash string
	file       string
	line       int
	key        string // "mailboxes: ", or empty in a password file
}

// fault is what is wrong with m, or doubtful.
func (m mailbox) fault(format string, args ...any) Fault {
	return Fault{File: m.file, Line: m.line, Message: m.key + fmt.Sprintf(format, args...), Outside: m.key == ""}
}

// called is how m is spoken of. In a password file, a password may stand where
// the name should.
func (m mailbox) called() string {
	if m.key == "" {
		return "the name before the colon"
	}
	return strconv.Quote(m.name)
}

func isPattern(name string) bool { return strings.Contains(name, "*") }

// pattern reads the mailboxes of a pattern, either from a file that has a
// password for each, or from a list that shares one.
func (t *table) pattern(a *Account) *pattern {
	t.asked = append(t.asked, wholeKeys...)
	domain, ok := strings.CutPrefix(a.Name, "*@")
	if !ok || domain == "" || strings.ContainsAny(domain, "*@ ") {
		t.file.fault(t.place.at(), `%s: the one use of * is for all mailboxes of a domain, as in [account."*@example.com"]`, t.header())
		t.asked = append(t.asked, patternKeys...)
		return &pattern{account: a}
	}
	for _, key := range t.given("imap_user", "smtp_user", "pop3_user") {
		t.fault(key, "means nothing for a pattern, whose mailboxes log in as themselves; write an account in full for another")
	}
	for _, key := range t.given(wholeKeys...) {
		t.fault(key, "means nothing for a pattern, whose mailboxes have one password each and open themselves alone; write an account in full for more")
	}
	t.keepOne("password", "password_file", "password_hash")
	names := t.texts("mailboxes", nil)
	switch file, hash := t.has("password_file"), t.has("password_hash"); {
	case file && t.has("mailboxes"):
		t.fault("mailboxes", "means nothing beside a password_file, which names them itself")
	case hash && !file:
		t.require("mailboxes", `name those that the password is for: mailboxes = ["alice@example.com", "bob@example.com"]`)
	case !file:
		t.file.fault(t.place.at(), `%s has neither a password_file nor a password_hash with mailboxes: whoever reached the port could read all mail of %s`, t.header(), domain)
	}
	p := &pattern{a, t.passwordFile()}
	for i, name := range names {
		if oneLine(name) == nil { // else it has been told
			line := t.place.key("mailboxes").item(i).at()
			p.mailboxes = append(p.mailboxes, mailbox{name, a.PasswordHash, t.file.name, line, "mailboxes: "})
		}
	}
	return p
}

// passwordFile reads lines of a mailbox, a colon and a password hash. What follows
// behind another colon is for other programs.
func (t *table) passwordFile() (mailboxes []mailbox) {
	path := t.text("password_file", "")
	if path == "" {
		return nil
	}
	text, err := t.fileSecret(path)
	path = t.file.path(path)
	if err == nil && !utf8.ValidString(text) {
		err = fmt.Errorf("%s: the file must be UTF-8 text", path)
	}
	if err != nil {
		t.outside("password_file", "%v", err)
		return nil
	}
	empty := true
	m := mailbox{file: path}
	var doubts []Fault
	for line := range strings.Lines(text) {
		m.line++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		empty = false
		name, rest, colon := strings.Cut(line, ":")
		field, _, _ := strings.Cut(rest, ":")
		hash, doubt, err := parseHash(field)
		m.name, m.hash = name, hash
		if doubt != "" {
			doubts = append(doubts, m.fault("password hash: %s", doubt))
		}
		switch {
		case !colon || oneLine(m.name) != nil:
			t.file.faults = append(t.file.faults, m.fault("is not a mailbox, a colon and a password hash: alice@example.com:$argon2id$v=19$..."))
		case err != nil:
			t.file.faults = append(t.file.faults, m.fault("password hash: %v", err))
		default:
			mailboxes = append(mailboxes, m)
		}
	}
	if empty {
		t.outside("password_file", "%s: there is no mailbox in it", path)
	}
	if n := len(doubts); n > 0 {
		if n > 1 {
			doubts[0].Message += fmt.Sprintf("; the same is to be said of %d more in this file", n-1)
		}
		t.file.warnings = append(t.file.warnings, doubts[0])
	}
	return mailboxes
}

// expand makes an account of each mailbox of a pattern, unless it has one that
// is written out in full: that is how an exception is made.
func (f *file) expand(p *pattern, whole, accounts map[string]*Account) {
	suffix := strings.ToLower(strings.TrimPrefix(p.account.Name, "*"))
	named := map[string]int{} // in which line, by folded name
	for _, m := range p.mailboxes {
		folded := strings.ToLower(m.name)
		switch own, err := whole[folded], checkMailbox(m.name); {
		case err != nil:
			f.faults = append(f.faults, m.fault("%s %v", m.called(), err))
		case isPattern(folded) || !strings.Contains(folded, "@"):
			f.faults = append(f.faults, m.fault("%s is not a mailbox of %s; write its whole address", m.called(), p.account.Name))
		case !strings.HasSuffix(folded, suffix):
			f.faults = append(f.faults, m.fault("%s is of another domain than %s; it needs an account of its own", m.called(), p.account.Name))
		case named[folded] > 0:
			f.faults = append(f.faults, m.fault("%s is there already, in line %d", m.called(), named[folded]))
		case own != nil:
			f.warnings = append(f.warnings, m.fault("means nothing: the mailbox has an account of its own, [%s]", toml.Key{"account", own.Name}))
		default:
			a := *p.account
			a.Name, a.LoginHint, a.PasswordHash, a.Pattern = m.name, m.name, m.hash, p.account.Name
			accounts[a.Name] = &a
		}
		named[folded] = m.line
	}
}
