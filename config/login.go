package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth/password"
)

var loginLabel = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_.-]{0,63}$`)

// logins reads the additional logins of an account.
func (t *table) logins() (logins []Login) {
	first := map[string]int{} // lines, by lower-case label
	for _, l := range t.tableList("login") {
		login := l.login(t.name())
		lower := strings.ToLower(login.Label)
		if line := first[lower]; line > 0 && lower != "" {
			l.fault("label", "is already used by the login in line %d", line)
		}
		first[lower] = login.Line
		logins = append(logins, login)
		l.reportUnknown()
	}
	return logins
}

// login reads one login of account.
func (t *table) login(account string) Login {
	t.require("label", `name the program that it is for: label = "scanner"`)
	t.require("password_hash", `make one with "xoauthd hash-password"`)
	l := Login{
		Label:        t.text("label", ""),
		User:         t.text("user", account),
		PasswordHash: t.passwordHash(),
		Protocols:    t.protocols(),
		Networks:     t.networks("networks"),
		Ends:         t.loginEnd(),
		Line:         t.pos.line(),
	}
	if l.Label != "" && !loginLabel.MatchString(l.Label) {
		t.fault("label", "must begin with a letter or digit, contain only letters, digits, _, . and -, and have at most 64 characters")
	}
	if err := checkUser(l.User); err != nil && t.has("user") {
		t.fault("user", "%v", err)
	}
	return l
}

// checkUser returns an error, without name, if name is not a valid user name.
func checkUser(name string) error {
	if isPattern(name) {
		return errSeparator
	}
	return checkMailbox(name)
}

// protocols reads the protocols that a login may use.
func (t *table) protocols() []string {
	protocols := t.texts("protocols", nil)
	for i, p := range protocols {
		if checkLine(p) == nil && !slices.Contains(Protocols(), p) { // else already reported
			t.file.fault(t.pos.key("protocols").item(i).line(), "protocols: %q is not one of %s", p, enumerate(Protocols()))
		}
	}
	return protocols
}

// loginEnd reads when a login expires. A date without a time is the last day.
func (t *table) loginEnd() time.Time {
	end := t.date("ends")
	if end.IsZero() {
		return end
	}
	day := end.Format(time.DateOnly)
	if t.values["ends"].(time.Time).Location().String() == "date-local" {
		end = end.AddDate(0, 0, 1)
	}
	if !t.file.now.Before(end) {
		t.file.warn(t.line("ends"), "ends: the login expired on %s, so xoauthd rejects it; set a later date, or remove the login", day)
	}
	return end
}

// checkLogins warns of protocols that a login may use but no listener or upstream offers.
func (f *file) checkLogins(a *Account, p *Provider, listens map[string]bool) {
	for _, l := range a.Logins {
		for _, protocol := range l.Protocols {
			switch {
			case p.Upstream(protocol) == nil:
				f.warn(l.Line, "login %q: allows %s, but its provider %q has no server for it", l.Label, protocol, p.Name)
			case !listens[protocol]:
				f.warn(l.Line, "login %q: allows %s, but no listener for it serves its provider %q", l.Label, protocol, p.Name)
			}
		}
	}
}

// checkUsers reports a user name that several accounts use, or that has more than
// password.MaxHashes passwords.
func (f *file) checkUsers(accounts map[string]*Account) {
	sorted := byLine(accounts)
	owners := make(map[string]*Account, len(sorted)) // by lower-case user name
	for _, a := range slices.Backward(sorted) {
		owners[strings.ToLower(a.Name)] = a
	}
	for _, a := range sorted {
		f.checkSamePassword(a)
		passwords := map[string]int{} // counts, by lower-case user name
		if a.PasswordHash != "" {
			passwords[strings.ToLower(a.Name)]++
		}
		for _, l := range a.Logins {
			lower := strings.ToLower(l.User)
			if owners[lower] == nil {
				owners[lower] = a
			}
			passwords[lower]++
			switch owner := owners[lower]; {
			case owner != a:
				f.fault(l.Line, "login %q: the user name %q already belongs to the account %s, and can belong to one account only", l.Label, l.User, owner.Name)
			case passwords[lower] == password.MaxHashes+1:
				f.fault(l.Line, "login %q: the user name %q already has %d passwords, which is the maximum; use another user name", l.Label, l.User, password.MaxHashes)
			}
		}
	}
}

// checkSamePassword warns of logins of a with the same user name and hash.
func (f *file) checkSamePassword(a *Account) {
	first := map[[2]string]int{{strings.ToLower(a.Name), a.PasswordHash}: a.Line}
	for _, l := range a.Logins {
		credentials := [2]string{strings.ToLower(l.User), l.PasswordHash}
		if line := first[credentials]; line > 0 && l.PasswordHash != "" {
			f.warn(l.Line, "login %q: has the user name and the password_hash of line %d, so xoauthd cannot tell the two apart; use another password", l.Label, line)
			continue
		}
		first[credentials] = l.Line
	}
}
