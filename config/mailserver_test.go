package config

import "testing"

// TestChecksUser checks that one unknown mail server makes ChecksUser report false.
func TestChecksUser(t *testing.T) {
	for keys, want := range map[string]bool{
		"preset = 'google'":    true,
		"preset = 'microsoft'": true,
		"preset = 'outlook'":   true,
		"preset = 'google'\nimap.host = 'imap.example.com'": false,
	} {
		c, err := loadProviders(t, local, "[provider.one]\nclient_id = 'id'\n"+keys)
		if err != nil {
			t.Errorf("%s: %v", keys, err)
		} else if got := c.Providers["one"].ChecksUser(); got != want {
			t.Errorf("%s: %v", keys, got)
		}
	}
	c, err := loadProviders(t, local, provider("one", ""))
	if err != nil || c.Providers["one"].ChecksUser() {
		t.Errorf("a provider without a preset: %v", err)
	}
}
