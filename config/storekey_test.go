package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testdata returns the content of a file without trailing line breaks.
func testdata(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(string(b), "\n")
}

// withStore writes a copy of good/minimal.toml with a table [store], and returns its name
// and its directory.
func withStore(t *testing.T, lines string) (name, dir string) {
	t.Helper()
	dir = t.TempDir()
	name = filepath.Join(dir, "xoauthd.toml")
	text := testdata(t, "good/minimal.toml") + "\n[store]\n" + lines + "\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name, dir
}

func TestStoreDefaults(t *testing.T) {
	name, _ := withStore(t, "")
	for _, name := range []string{name, "testdata/good/minimal.toml"} {
		if c := load(t, name); !c.Store.Encrypt || c.Store.Keys != "" {
			t.Errorf("%+v", c.Store)
		}
	}
}

func TestStoreKeys(t *testing.T) {
	keys := testdata(t, "store.key")
	key := strings.Split(keys, "\n")[1]
	for _, row := range []struct{ name, text, fault string }{
		{"one", key, ""},
		{"several, with comments", keys, ""},
		{"on one line", key + " " + key, ""},
		{"nothing", "", "holds no key"},
		{"blank lines", "\n \n", "holds no key"},
		{"a password", "hunter2", "line 1 is not a key"},
		{"two without a space", key + key, "line 1 is not a key"},
		{"one cut short", "\n" + key[:40], "line 2 is not a key"},
		{"one with an extra letter", "#\n#\n" + key + "A", "line 3 is not a key"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("XOAUTHD_TEST_KEY", row.text)
			fromEnv, dir := withStore(t, `key_env = "XOAUTHD_TEST_KEY"`)
			t.Setenv("CREDENTIALS_DIRECTORY", dir)
			if err := os.WriteFile(filepath.Join(dir, "store.key"), []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			fromCredential, _ := withStore(t, `key_credential = "store.key"`)
			for _, name := range []string{fromEnv, fromCredential} {
				c, err := Load(name)
				var faults Faults
				switch {
				case row.fault == "" && err != nil:
					t.Error(err)
				case row.fault == "" && c.Store.Keys.Reveal() != row.text:
					t.Errorf("keys %q", c.Store.Keys.Reveal())
				case row.fault != "" && (!errors.As(err, &faults) || len(faults) != 1 || faults[0].Line != 9 || !strings.Contains(err.Error(), row.fault)):
					t.Errorf("err = %v, want one in line 9: %s", err, row.fault)
				}
				if err != nil && (strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), key[:20])) {
					t.Errorf("a key is shown: %v", err)
				}
			}
		})
	}
}

func TestMigrate(t *testing.T) {
	name, _ := minimal(t, "", 0o600)
	text, err := os.ReadFile(name)
	noError(t, err)
	for value, want := range map[string]struct {
		store  Store
		warned bool
	}{
		"true":      {Store{Encrypt: true}, false},
		"false":     {Store{}, false},
		`"migrate"`: {Store{Encrypt: true, Migrate: true}, true},
	} {
		noError(t, os.WriteFile(name, []byte("store.encrypt = "+value+"\n"+string(text)), 0o600))
		c := load(t, name)
		warned := strings.Contains(Faults(c.Warnings).Error(), ":1: encrypt: \"migrate\" accepts grants")
		if c.Store != want.store || warned != want.warned {
			t.Errorf("%s: %+v, %v", value, c.Store, c.Warnings)
		}
	}
}
