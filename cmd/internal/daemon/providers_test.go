package daemon

import (
	"testing"

	"github.com/xoauthd/xoauthd/config"
)

// A hint depends on who logs in, and with what.
func TestUpstream(t *testing.T) {
	for _, test := range []struct {
		flow, mechanism string
		unattended      bool
	}{
		{"authorization_code", "auto", false},
		{"device_code", "auto", false},
		{"client_credentials", "auto", true},
		{"service_account", "auto", true},
		{"command", "auto", true},
		{"app_password", "password", true},
	} {
		u := newUpstream(&config.Provider{Flow: test.flow, Mechanism: "auto"}, &config.Upstream{})
		if u.Unattended != test.unattended || u.Mechanism != test.mechanism {
			t.Errorf("%s: unattended %v, mechanism %s", test.flow, u.Unattended, u.Mechanism)
		}
	}
}
