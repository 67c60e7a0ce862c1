package config

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestExternalFaults removes and empties each file that the valid configurations name.
// The faults must be external. The faults of the invalid configurations must not be, except
// those of one whose key file has a wrong mode.
func TestExternalFaults(t *testing.T) {
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
				if !errors.As(err, &faults) || !faults.External() {
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
	var external []string
	for _, name := range bad {
		_, err := loadAt(name, today)
		var faults Faults
		if errors.As(err, &faults) && faults.External() {
			external = append(external, filepath.Base(name))
		}
	}
	if want := []string{"store_public_key.toml"}; !slices.Equal(external, want) {
		t.Errorf("the faults of %q are external, want %q", external, want)
	}
}
