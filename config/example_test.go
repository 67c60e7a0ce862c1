package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// loadExample loads text on a system that has the files and programs named by
// example.toml.
func loadExample(t *testing.T, text string) *Config {
	t.Helper()
	t.Setenv("STATE_DIRECTORY", "")
	dir, material := t.TempDir(), testFiles(t)
	text = strings.ReplaceAll(text, "$argon2id$...", hash)
	text = regexp.MustCompile(`(client_id += )".*\.\.\..*"`).ReplaceAllString(text, `$1"id"`)
	for name, content := range map[string]string{
		"google.secret":             "secret\n",
		"company.pem":               material["chain.pem"],
		"company.key":               material["pkcs1.key"],
		"company.example.passwords": regexp.MustCompile(`grace@.*`).FindString(text),
		"workspace.json":            material["service.json"],
		"icloud.password":           "password\n",
		"frank.password":            "password\n",
		"mail.example.com.pem":      material["server.pem"],
		"clients.pem":               material["server.pem"],
		"mail.example.com.key":      material["server.key"],
		"xoauthd.toml":              strings.NewReplacer("/usr/bin/oama", "/bin/sh", `socket_user  = "xoauthd"`, "", `socket_group = "mail"`, "").Replace(text),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := load(t, filepath.Join(dir, "xoauthd.toml"))
	c.File, c.Fingerprint = "", ""
	for i := range c.Listeners {
		c.Listeners[i].Line = 0
	}
	for _, a := range c.Accounts {
		a.Line = 0
	}
	return c
}

// TestKeysDocumented checks that docs/configuration.md has a row for every key of
// example.toml, and for no other.
func TestKeysDocumented(t *testing.T) {
	reference, err := os.ReadFile("../docs/configuration.md")
	noError(t, err)
	documented := map[string]bool{}
	for line := range strings.Lines(string(reference)) {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) == 3 {
			for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(cells[1], -1) {
				documented[m[1]] = true
			}
		}
	}
	shown := map[string]bool{}
	for _, pattern := range []string{`(?m)^[# ]*([a-z0-9_]+) *= *["\[{0-9tf]`, `[{,] ([a-z0-9_]+) = `} {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(readExample(t), -1) {
			shown[m[1]] = true
		}
	}
	delete(shown, "prompt") // a parameter of authorization_params
	for key := range shown {
		if !documented[key] {
			t.Errorf("docs/configuration.md has no row for %s", key)
		}
	}
	for key := range documented {
		if !shown[key] {
			t.Errorf("example.toml does not show %s", key)
		}
	}
}

func readExample(t *testing.T) string {
	text, err := os.ReadFile("../example.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPlaceholders checks that Load rejects each placeholder value in example.toml and
// README.md.
func TestPlaceholders(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	noError(t, err)
	shown := regexp.MustCompile(`(?m)^[# ]*(client_id|client_secret|upstream_password|password_hash) *= *"(.*?)"`)
	seen := map[string]int{}
	for _, pair := range shown.FindAllStringSubmatch(readExample(t)+string(readme), -1) {
		key, value := pair[1], pair[2]
		if value == "xoauthd" {
			continue // a valid id at a self-hosted provider
		}
		seen[key]++
		text := `
[[listener]]
protocol = "imap"
address = "127.0.0.1:1143"
[provider.p]
preset = "google"
client_id = "id"
client_secret = "hunter"
[provider.q]
preset = "icloud"
[account."alice@example.com"]
provider = "p"
password_hash = '` + hash + `'
[account."bob@example.com"]
provider = "q"
password_hash = '` + hash + `'
upstream_password = "hunter"
`
		changed := regexp.MustCompile(`(?m)^`+key+` = .*`).ReplaceAllLiteralString(text, key+` = "`+value+`"`)
		name := filepath.Join(t.TempDir(), "x.toml")
		noError(t, os.WriteFile(name, []byte(changed), 0o600))
		_, err := Load(name)
		if err == nil || !strings.Contains(err.Error(), ": "+key+": ") || !strings.Contains(err.Error(), "is a placeholder; ") {
			t.Errorf("%s = %q: %v", key, value, err)
		}
	}
	for _, key := range []string{"client_id", "client_secret", "upstream_password", "password_hash"} {
		if seen[key] == 0 {
			t.Errorf("no %s is shown", key)
		}
	}
}

// TestExampleUnedited checks that loading an unedited copy of example.toml reports every
// placeholder.
func TestExampleUnedited(t *testing.T) {
	name := filepath.Join(t.TempDir(), "xoauthd.toml")
	text := readExample(t)
	noError(t, os.WriteFile(name, []byte(text), 0o600))
	_, err := Load(name)
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	lines := strings.Split(text, "\n")
	reported := 0
	for _, f := range faults {
		if strings.Contains(f.Message, "is a placeholder") && f.Line > 0 && strings.Contains(lines[f.Line-1], "...") {
			reported++
		}
	}
	if want := len(regexp.MustCompile(`(?m)^(client_id|password_hash) .*\.\.\.`).FindAllString(text, -1)); reported != want || want < 4 {
		t.Errorf("%d of %d placeholders are reported:\n%v", reported, want, err)
	}
}

func TestExampleValid(t *testing.T) {
	c := loadExample(t, readExample(t))
	if len(c.Warnings) > 0 {
		t.Error(Faults(c.Warnings))
	}
	names := slices.Sorted(maps.Keys(c.Accounts))
	if want := []string{"alice@example.com", "bob@example.org"}; !slices.Equal(names, want) {
		t.Errorf("accounts %q", names)
	}
}

// TestExampleDefaults checks that uncommenting the lines that show defaults changes
// nothing.
func TestExampleDefaults(t *testing.T) {
	text := readExample(t)
	shown := regexp.MustCompile(`(?m)^#([a-z_]+ *=)`)
	if n := len(shown.FindAllString(text, -1)); n < 10 {
		t.Fatalf("only %d defaults are shown", n)
	}
	got, want := loadExample(t, shown.ReplaceAllString(text, "$1")), loadExample(t, text)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("with the defaults written out:\n%+v\nwithout:\n%+v", got, want)
	}
}

// TestExampleProviderWithoutPreset uncomments the provider without a preset, and checks
// that removing the keys with documented defaults changes nothing.
func TestExampleProviderWithoutPreset(t *testing.T) {
	text := readExample(t)
	block := regexp.MustCompile(`(?m)^# \[provider\.example\]\n(# .*\n)+`).FindString(text)
	block = regexp.MustCompile(`(?m)^# `).ReplaceAllString(block, "")
	full := loadExample(t, text+block).Providers["example"]
	if full == nil || full.IMAP == nil || full.SMTP == nil || full.POP3 == nil || full.Issuer == "" {
		t.Fatalf("%+v", full)
	}
	documented := regexp.MustCompile(`(?m)^(redirect_url|auth_style|mechanism) .*\n|, tls = "implicit"|, port = \d+`)
	if n := len(documented.FindAllString(block, -1)); n != 8 {
		t.Fatalf("%d keys with defaults", n)
	}
	omitted := loadExample(t, text+documented.ReplaceAllString(block, "")).Providers["example"]
	full.AuthStyle, full.Mechanism = "params", "auto"
	if !reflect.DeepEqual(omitted, full) {
		t.Errorf("by default:\n%+v\nwant:\n%+v", omitted, full)
	}
}

// TestExampleRecipes uncomments each block that shows an alternative provider or account.
func TestExampleRecipes(t *testing.T) {
	text := readExample(t)
	shown := map[flow.Flow]bool{}
	for _, block := range regexp.MustCompile(`(?m)^# \[(provider|account)\..*\n(#( .*)?\n)+`).FindAllString(text, -1) {
		uncommented := regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(block, "")
		c := loadExample(t, text+"\n"+uncommented)
		for _, a := range c.Accounts {
			shown[c.Providers[a.Provider].Flow] = true
		}
		legacy := strings.Contains(block, "legacy")
		if len(c.Warnings) > 0 && !legacy || len(c.Accounts) < 3 && !strings.Contains(block, "[provider.example]") {
			t.Errorf("%s\ngives %d accounts and %v", uncommented, len(c.Accounts), Faults(c.Warnings))
		}
	}
	for _, f := range flows {
		if !shown[f.flow] || !strings.Contains(text, "#   "+string(f.flow)+" ") {
			t.Errorf("the flow %s is not shown", f.flow)
		}
	}
}

// TestExampleListeners uncomments each recipe for a listener, with a certificate if it
// needs one. Only old TLS versions cause a warning.
func TestExampleListeners(t *testing.T) {
	text := readExample(t)
	blocks := regexp.MustCompile(`(?m)^# \[\[(certificate|listener)\]\]\n(#( .*)?\n)+`).FindAllString(text, -1)
	if len(blocks) != 10 {
		t.Fatalf("%d recipes", len(blocks))
	}
	certificate, _, _ := strings.Cut(blocks[2], "#\n")
	for _, block := range blocks {
		if strings.Contains(block, "tls ") && !strings.Contains(block, "[[certificate]]") {
			block = certificate + block
		}
		c := loadExample(t, text+"\n"+regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(block, ""))
		old := strings.Contains(block, `min_tls  = "1.0"`)
		if len(c.Listeners) != 3 || len(c.Warnings) > 0 && !old {
			t.Errorf("%s\ngives %d listeners and %v", block, len(c.Listeners), Faults(c.Warnings))
		}
	}
}

// TestExampleNamesEveryKey checks that example.toml shows every key. It learns the keys
// from the faults about an unknown key in each table of full.toml.
func TestExampleNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile("testdata/good/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	const unknown = "zzzzzzzz = 1"
	bad := regexp.MustCompile(`(?m)^\[.*$`).ReplaceAllString(string(text), "$0\n"+unknown)
	bad = unknown + "\n" + strings.ReplaceAll(bad, "{ ", "{ "+unknown+", ")
	name := filepath.Join(t.TempDir(), "bad.toml")
	if err := os.WriteFile(name, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(name)
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range faults {
		if _, keys, ok := strings.Cut(f.Message, "the known keys are "); ok {
			for _, quoted := range regexp.MustCompile(`[a-z0-9_]+`).FindAllString(keys, -1) {
				known[quoted] = true
			}
		}
	}
	for _, key := range []string{"listener", "drain_timeout", "tls", "tenant", "client_secret_credential", "enabled"} {
		if !known[key] {
			t.Errorf("no fault lists %s", key)
		}
	}
	example := readExample(t)
	for key := range known {
		named := regexp.MustCompile(`(?m)(^|[#{,] *)` + key + ` *=|^(# )?\[*` + key + `[\].]|\.` + key + `\]\]`)
		if !named.MatchString(example) {
			t.Errorf("%s is not in example.toml", key)
		}
	}
}
