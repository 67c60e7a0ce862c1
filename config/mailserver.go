package config

import "slices"

// checkingHosts are mail servers that are known to open a mailbox only to those who
// may use it. There are others that open the mailbox of the token, whatever user
// name comes with it.
var checkingHosts = []string{
	"imap.gmail.com", "smtp.gmail.com", "pop.gmail.com",
	"outlook.office365.com", "smtp.office365.com", "smtp-mail.outlook.com",
}

// ChecksUser reports whether all mail servers of the provider are known to look at
// the user name.
func (p *Provider) ChecksUser() bool {
	return !slices.ContainsFunc(Protocols(), func(protocol string) bool {
		u := p.Upstream(protocol)
		return u != nil && !slices.Contains(checkingHosts, u.Host)
	})
}
