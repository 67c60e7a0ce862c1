package config

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestOutside takes away, and empties, each file that the good configurations name:
// the faults are outside of these, so that they may pass. Those of the bad ones are
// in what they say, but for one whose key file has a wrong mode.
func TestOutside(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir := copyTestdata(t)
	good, err := filepath.Glob(filepath.Join(dir, "good", "*.toml"))
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{} // keys
	for _, name := range good {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, named := range regexp.MustCompile(`(?m)^(\w+) *= *"(\.\./[^"]+)"`).FindAllSubmatch(text, -1) {
			key, other := string(named[1]), filepath.Join(filepath.Dir(name), string(named[2]))
			content, err := os.ReadFile(other)
			if err != nil {
				continue // a client_assertion_file need not be there
			}
			for what, change := range map[string]func() error{
				"missing": func() error { return os.Remove(other) },
				"empty":   func() error { return os.Truncate(other, 0) },
			} {
				if err := change(); err != nil {
					t.Fatal(err)
				}
				_, err := loadAt(name, today)
				var faults Faults
				if !errors.As(err, &faults) || !faults.Outside() {
					t.Errorf("%s: %s %s: %v", filepath.Base(name), key, what, err)
				}
				if err := os.WriteFile(other, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			tried[key] = true
		}
		if _, err := loadAt(name, today); err != nil {
			t.Errorf("%s, as it was: %v", name, err)
		}
	}
	for _, key := range []string{"ca_file", "client_secret_file", "client_certificate", "client_key_file", "file", "key_file", "client_ca_file", "password_file", "service_account_file"} {
		if !tried[key] {
			t.Errorf("%s was not tried", key)
		}
	}

	bad, err := filepath.Glob(filepath.Join(dir, "bad", "*.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var outside []string
	for _, name := range bad {
		_, err := loadAt(name, today)
		var faults Faults
		if errors.As(err, &faults) && faults.Outside() {
			outside = append(outside, filepath.Base(name))
		}
	}
	if want := []string{"store_public_key.toml"}; !slices.Equal(outside, want) {
		t.Errorf("outside are the faults of %q, want %q", outside, want)
	}
}
