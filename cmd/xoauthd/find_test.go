package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/config"
)

// TestFind names no more than a person can read.
func TestFind(t *testing.T) {
	c := &config.Config{Accounts: map[string]*config.Account{}}
	for i := range 300 {
		name := fmt.Sprintf("user%03d@example.com", i)
		c.Accounts[name] = &config.Account{Name: name}
	}
	if a, err := find(c, "USER007@example.com"); err != nil || a.Name != "user007@example.com" {
		t.Errorf("%v, %v", a, err)
	}
	for name, near := range map[string]string{"user7@example.com": "user299@", "a@example.com": "user000@", "user155x@example.com": "user155@"} {
		if _, err := find(c, name); err == nil || !strings.Contains(err.Error(), near) || len(err.Error()) > 350 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFindOfPattern: a pattern is no account, and a mailbox that it does not name
// is not told to be like 300 others.
func TestFindOfPattern(t *testing.T) {
	c := &config.Config{Accounts: map[string]*config.Account{"zoe@machines.example": {Name: "zoe@machines.example"}}}
	for domain, n := range map[string]int{"example.com": 12, "machines.example": 2} {
		for i := range n {
			name := fmt.Sprintf("user%02d@%s", i, domain)
			c.Accounts[name] = &config.Account{Name: name, Pattern: "*@" + domain}
		}
	}
	for name, want := range map[string]string{
		"nobody@Machines.example": "*@machines.example is there, but neither its password_file nor its mailboxes name nobody@Machines.example",
		"*@MACHINES.example":      "*@machines.example is a pattern; name one of its mailboxes: user00@machines.example, user01@machines.example",
		"*@example.com":           "user09@example.com, and 2 more",
		"*@example.org":           `no account "*@example.org"`,
		"machines.example":        `no account "machines.example"`,
	} {
		if _, err := find(c, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if a, err := find(c, "user01@example.com"); err != nil || a.Pattern == "" {
		t.Errorf("%v, %v", a, err)
	}
}
