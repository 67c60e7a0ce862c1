package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestScopePOP3 checks that xoauthd requests Microsoft's scope for POP3 only if a POP3
// listener serves the provider, and the provider has no scopes key.
func TestScopePOP3(t *testing.T) {
	const pop = "https://outlook.office.com/POP.AccessAsUser.All"
	name := filepath.Join(copyTestdata(t), "good", "pop3.toml")
	for provider, want := range map[string]bool{"microsoft": true, "own-scopes": false, "app-only": false, "outlook": false} {
		if scopes := load(t, name).Providers[provider].Scopes; slices.Contains(scopes, pop) != want {
			t.Errorf("%s: %q", provider, scopes)
		}
	}
	for _, served := range []string{"", `provider = "outlook"`} {
		c := loadExample(t, readExample(t)+"[provider.outlook]\npreset = \"outlook\"\nclient_id = \"id\"\n"+
			"[[listener]]\nprotocol = \"pop3\"\naddress = \"127.0.0.1:1110\"\n"+served)
		outlook, microsoft := c.Providers["outlook"].Scopes, c.Providers["microsoft"].Scopes
		if !slices.Contains(outlook, pop) || slices.Contains(microsoft, pop) != (served == "") {
			t.Errorf("%s: %q and %q", served, outlook, microsoft)
		}
		if n := strings.Count(strings.Join(outlook, " "), "AccessAsUser"); n != 2 {
			t.Errorf("%q", outlook)
		}
	}
}
