package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	c := loadGood(t, "patterns.toml", today)
	for name, want := range map[string]Account{
		"alice@example.com": {Pattern: "*@example.com", Provider: "app-only", Enabled: true, Line: 17},
		"Bob@Example.com":   {Pattern: "*@example.com", Provider: "app-only", Enabled: true, Line: 17},
		"carol@example.org": {Pattern: "*@example.org", Provider: "unserved", Enabled: true, Line: 21},
		"ERIN@example.com":  {Provider: "app-only", Line: 30},
		"dave@example.org":  {Provider: "unserved", Enabled: true, Line: 35},
	} {
		want.Name, want.LoginHint, want.PasswordHash = name, name, hash
		if a := c.Accounts[name]; a == nil || !reflect.DeepEqual(*a, want) {
			t.Errorf("%+v\nwant %+v", a, want)
		}
	}
	if len(c.Accounts) != 5 {
		t.Errorf("%d accounts", len(c.Accounts))
	}
}

// TestManyMailboxes checks that a password file may have many mailboxes.
func TestManyMailboxes(t *testing.T) {
	text, dir := testdata(t, "good/patterns.toml"), copyTestdata(t)
	const mailboxes = 20_000
	var lines strings.Builder
	for i := range mailboxes {
		fmt.Fprintf(&lines, "m%d@example.com:%s\n", i, hash)
	}
	if err := os.WriteFile(filepath.Join(dir, "staff.passwords"), []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "good", "patterns.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(name)
	if err != nil || len(c.Accounts) != mailboxes+3 { // three are in the file itself
		t.Errorf("%d accounts, %v", len(c.Accounts), err)
	}
}
