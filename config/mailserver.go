package config

import "slices"

// checkingHosts are mail servers known to check that the user name matches the token.
// Some other servers ignore the user name and open the mailbox of the token.
var checkingHosts = []string{
	"imap.gmail.com", "smtp.gmail.com", "pop.gmail.com",
	"outlook.office365.com", "smtp.office365.com", "smtp-mail.outlook.com",
}

// ChecksUser reports whether all mail servers of the provider are known to check that the
// user name matches the token.
func (p *Provider) ChecksUser() bool {
	return !slices.ContainsFunc(Protocols(), func(protocol string) bool {
		u := p.Upstream(protocol)
		return u != nil && !slices.Contains(checkingHosts, u.Host)
	})
}
