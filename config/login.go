package config

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxPasswords bounds those of one user name: each wrong one that comes is hashed
// for all of them.
const maxPasswords = 16

var loginLabel = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_.-]{0,63}$`)

// logins reads the logins that an account has beside its own password, or in its
// place.
func (t *table) logins() (logins []Login) {
	first := map[string]int{} // in which line, by folded label
	for _, l := range t.tableList("login") {
		login := l.login(t.name())
		folded := strings.ToLower(login.Label)
		if line := first[folded]; line > 0 && folded != "" {
			l.fault("label", "the login in line %d has it already", line)
		}
		first[folded] = login.Line
		logins = append(logins, login)
		l.done()
	}
	return logins
}

// login reads one login of an account.
func (t *table) login(account string) Login {
	t.require("label", `name the program that it is for: label = "scanner"`)
	t.require("password_hash", `make one with "xoauthd hash-password"`)
	l := Login{
		Label:        t.text("label", ""),
		User:         t.text("user", account),
		PasswordHash: t.passwordHash(),
		Protocols:    t.protocols(),
		Networks:     t.networks("networks"),
		Ends:         t.end(),
		Line:         t.place.at(),
	}
	if l.Label != "" && !loginLabel.MatchString(l.Label) {
		t.fault("label", "must be of letters, digits, _, . and -, begin with one of the first two, and have 64 of them at most")
	}
	if err := checkUser(l.User); err != nil && t.has("user") {
		t.fault("user", "%v", err)
	}
	return l
}

// checkUser says what is wrong with a user name without showing it.
func checkUser(name string) error {
	if isPattern(name) {
		return errDivider
	}
	return checkMailbox(name)
}

// protocols reads those that a login may speak.
func (t *table) protocols() []string {
	protocols := t.texts("protocols", nil)
	for i, p := range protocols {
		if oneLine(p) == nil && !slices.Contains(Protocols(), p) { // else it has been told
			t.file.fault(t.place.key("protocols").item(i).at(), "protocols: %q is not one of %s", p, enumerate(Protocols()))
		}
	}
	return protocols
}

// end reads when a login ends: a day without a time is its last one.
func (t *table) end() time.Time {
	end := t.date("ends")
	if end.IsZero() {
		return end
	}
	day := end.Format(time.DateOnly)
	if t.values["ends"].(time.Time).Location().String() == "date-local" {
		end = end.AddDate(0, 0, 1)
	}
	if !t.file.now.Before(end) {
		t.file.warn(t.line("ends"), "ends: the login has ended on %s, and is refused: put off its end, or take it away", day)
	}
	return end
}

// checkLogins warns of protocols that logins may speak, and nobody can.
func (f *file) checkLogins(a *Account, p *Provider, listens map[string]bool) {
	for _, l := range a.Logins {
		for _, protocol := range l.Protocols {
			switch {
			case p.Upstream(protocol) == nil:
				f.warn(l.Line, "login %q: may speak %s, but its provider, %q, has no server for that", l.Label, protocol, p.Name)
			case !listens[protocol]:
				f.warn(l.Line, "login %q: may speak %s, but no listener for that serves its provider, %q", l.Label, protocol, p.Name)
			}
		}
	}
}

// checkUsers holds that a user name leads to one account, whatever password comes
// with it, and to no more passwords than may be hashed for it.
func (f *file) checkUsers(accounts map[string]*Account) {
	sorted := byLine(accounts)
	owners := make(map[string]*Account, len(sorted)) // by folded user name
	for _, a := range slices.Backward(sorted) {
		owners[strings.ToLower(a.Name)] = a
	}
	for _, a := range sorted {
		f.checkHashes(a)
		passwords := map[string]int{} // by folded user name
		if a.PasswordHash != "" {
			passwords[strings.ToLower(a.Name)]++
		}
		for _, l := range a.Logins {
			folded := strings.ToLower(l.User)
			if owners[folded] == nil {
				owners[folded] = a
			}
			passwords[folded]++
			switch owner := owners[folded]; {
			case owner != a:
				f.fault(l.Line, "login %q: the user name %q leads to %s already, and can lead to one account alone", l.Label, l.User, owner.Name)
			case passwords[folded] == maxPasswords+1:
				f.fault(l.Line, "login %q: the user name %q has %d passwords already, which is the most; give this login another", l.Label, l.User, maxPasswords)
			}
		}
	}
}

// checkHashes warns of logins that what a client says cannot tell apart.
func (f *file) checkHashes(a *Account) {
	first := map[[2]string]int{{strings.ToLower(a.Name), a.PasswordHash}: a.Line}
	for _, l := range a.Logins {
		said := [2]string{strings.ToLower(l.User), l.PasswordHash}
		if line := first[said]; line > 0 && l.PasswordHash != "" {
			f.warn(l.Line, "login %q: its user name and its password_hash are those of line %d, so that it can never be told from that: give it a password of its own", l.Label, line)
			continue
		}
		first[said] = l.Line
	}
}
