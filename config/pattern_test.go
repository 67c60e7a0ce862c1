package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	c := goodAt(t, "patterns.toml", today)
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

func TestTooManyMailboxes(t *testing.T) {
	text, dir := testdata(t, "good/patterns.toml"), copyTestdata(t)
	for _, row := range []struct{ mailboxes, accounts int }{
		{maxAccounts - 3, maxAccounts}, // three are in the file itself
		{maxAccounts - 2, 0},
	} {
		var lines strings.Builder
		for i := range row.mailboxes {
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
		var faults Faults
		switch {
		case row.accounts > 0 && (err != nil || len(c.Accounts) != row.accounts):
			t.Errorf("%d mailboxes: %v", row.mailboxes, err)
		case row.accounts == 0 && (!errors.As(err, &faults) || len(faults) != 1 || !strings.Contains(err.Error(), "10001 accounts")):
			t.Errorf("%d mailboxes: %v", row.mailboxes, err)
		}
	}
}
