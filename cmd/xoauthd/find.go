package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/text"
)

// Limits of the accounts that a message names.
const (
	maxNear  = 5  // similar names
	maxNamed = 10 // mailboxes of a pattern
)

// loadAccount reads the configuration, and finds an account in it.
func loadAccount(file, name string) (*config.Config, *config.Account, error) {
	c, err := load(file)
	if err != nil {
		return nil, nil, err
	}
	a, err := find(c, name)
	return c, a, err
}

// find returns the account with a name, in upper or lower case.
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
	near := strings.Join(text.NearestFew(strings.ToLower(name), names, maxNear), ", ")
	if len(names) <= maxNear {
		return nil, fmt.Errorf("no account %q in %s; the accounts are %s", name, c.File, near)
	}
	return nil, fmt.Errorf("no account %q in %s; the most similar of its %d accounts are %s", name, c.File, len(names), near)
}

// ofPattern returns the error for a name that is a pattern of the configuration, or a
// mailbox in the domain of one. It returns nil for other names.
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
		return fmt.Errorf("%s is configured, but neither its password_file nor its mailboxes have %s", pattern, name)
	}
	more := ""
	if n := len(mailboxes) - maxNamed; n > 0 {
		mailboxes, more = mailboxes[:maxNamed], fmt.Sprintf(", and %d more", n)
	}
	return fmt.Errorf("%s is a pattern; name one of its mailboxes: %s%s", pattern, strings.Join(mailboxes, ", "), more)
}
