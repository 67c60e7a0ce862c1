package config

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFingerprintIgnoresServerCertificates checks that renewing a server certificate,
// which the daemon reads again, does not change the fingerprint.
func TestFingerprintIgnoresServerCertificates(t *testing.T) {
	dir := copyTestdata(t)
	name := filepath.Join(dir, "good", "listeners.toml")
	before := load(t, name).Fingerprint
	for _, renewed := range []string{"server.pem", "server.key"} {
		renewed = filepath.Join(dir, renewed)
		text := must[[]byte](t)(os.ReadFile(renewed))
		if err := os.WriteFile(renewed, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if after := load(t, name).Fingerprint; after != before {
		t.Errorf("fingerprint changed from %s to %s", before, after)
	}
}
