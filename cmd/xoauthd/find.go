package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/config"
)

// mostNamed is how many accounts a message names, at most.
const mostNamed = 10

// find returns the account of that name, without regard to case.
func find(c *config.Config, name string) (*config.Account, error) {
	names := slices.Sorted(maps.Keys(c.Accounts))
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return c.Accounts[n], nil
		}
	}
	if err := ofPattern(c, names, name); err != nil {
		return nil, err
	}
	if len(names) <= mostNamed {
		return nil, fmt.Errorf("no account %q in %s; there are: %s", name, c.File, strings.Join(names, ", "))
	}
	i, _ := slices.BinarySearch(names, name)
	i = min(max(i-mostNamed/2, 0), len(names)-mostNamed)
	return nil, fmt.Errorf("no account %q in %s; there are %d, of which these are next to it: %s",
		name, c.File, len(names), strings.Join(names[i:i+mostNamed], ", "))
}

// ofPattern is what to say of a name that is a pattern of the configuration, or
// a mailbox in the domain of one; nil if it is neither.
func ofPattern(c *config.Config, names []string, name string) error {
	_, domain, _ := strings.Cut(name, "@")
	var pattern string
	var mailboxes []string
	for _, n := range names {
		if p := c.Accounts[n].Pattern; p != "" && strings.EqualFold(p, "*@"+domain) {
			pattern = p
			mailboxes = append(mailboxes, n)
		}
	}
	switch {
	case pattern == "":
		return nil
	case !strings.EqualFold(pattern, name):
		return fmt.Errorf("%s is there, but neither its password_file nor its mailboxes name %s", pattern, name)
	}
	more := ""
	if n := len(mailboxes) - mostNamed; n > 0 {
		mailboxes, more = mailboxes[:mostNamed], fmt.Sprintf(", and %d more", n)
	}
	return fmt.Errorf("%s is a pattern; name one of its mailboxes: %s%s", pattern, strings.Join(mailboxes, ", "), more)
}
