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
	c.Accounts["zoe@example.org"] = &config.Account{Name: "zoe@example.org"}
	for name, want := range map[string]string{
		"zeo@example.org":     `no account "zeo@example.org" in ; the most similar of its 301 accounts are zoe@example.org, `,
		"ZOE@example.com":     "are zoe@example.org, ",
		"users07@example.com": "are user007@example.com, ",
		"billing":             "the most similar of its 301 accounts are ",
	} {
		if _, err := find(c, name); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	few := &config.Config{Accounts: map[string]*config.Account{"alice@example.com": {}, "bob@example.com": {}}}
	if _, err := find(few, "x"); err == nil || !strings.HasSuffix(err.Error(), "the accounts are bob@example.com, alice@example.com") {
		t.Error(err)
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
		"nobody@Machines.example": "*@machines.example is configured, but neither its password_file nor its mailboxes have nobody@Machines.example",
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
