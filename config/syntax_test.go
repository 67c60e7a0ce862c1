package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDefinedTwice checks that the fault names the lines of both definitions.
func TestDefinedTwice(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"a = 1\n\na = 2\n", ":3: not valid TOML: a is already defined in line 1: keep one of the two"},
		{"[web]\nx = 1\n[b]\n[web]\n", ":4: not valid TOML: web is already defined in line 1: keep one of the two"},
		{"[account.\"alice@example.com\"]\n\n\n[account.'alice@example.com']\n", `:4: not valid TOML: account."alice@example.com" is already defined in line 1: `},
		{"[[listener]]\na = 1\n[[listener]]\na = 1\nb = [\n  1,\n]\na = 2\n", ":8: not valid TOML: listener.a is already defined in line 4: "},
		{"[[listener]]\na = 1\n[listener]\n", ":3: not valid TOML: listener is already defined in line 1: "},
		{"[listener]\n[[listener]]\n", ":2: not valid TOML: listener is already defined in line 1: "},
		{"a = 1\n[a]\n", ":2: not valid TOML: a is already defined in line 1: "},
		{"[a]\nb = 1\n[a.b]\n", ":3: not valid TOML: a.b is already defined in line 2: "},
		{"[a.b]\n[a]\nb = 2\n", ":3: not valid TOML: a.b is already defined in line 1: "},
		{"a = { x = 1, x = 2 }\n", ":1: not valid TOML: a.x is defined twice in this line: "},
		// The hint to quote the value of a secret does not apply.
		{"[provider.a]\nclient_secret = 'hunter'\nclient_secret = 'hunter'\n", ":3: not valid TOML: provider.a.client_secret is already defined in line 2: "},
	} {
		name := filepath.Join(t.TempDir(), "x.toml")
		noError(t, os.WriteFile(name, []byte(row.text), 0o600))
		_, err := Load(name)
		if err == nil || !strings.HasPrefix(err.Error(), name+row.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q:\n%v, want %s", row.text, err, row.want)
		}
	}
}
